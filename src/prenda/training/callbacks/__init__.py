"""Lightning callbacks of prenda.

Modules:
    confusion: Confusion matrices of validation, drawn during training.
    progress: Progress of a training in the terminal.
"""
