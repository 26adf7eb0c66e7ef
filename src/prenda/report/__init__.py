"""Reports of runs, sweeps and comparisons, in the terminal and as files.

`figures` draws pictures, `tables` writes scores and predictions, `page` writes one HTML file, `card` a model card.
"""
