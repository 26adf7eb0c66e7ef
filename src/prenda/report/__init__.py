"""What is written of predictions: `scores` are figures, `calibration` is about confidence, `figures` are pictures.

`tables` keeps them as files, `run` writes a whole run's report, `page` gathers it in one HTML file.
"""
