"""Bundles: models on disk, for prediction without PyTorch.

Modules:
    format: Reading and verifying a bundle; needs the standard library alone.
    export: Writing a bundle from a trained network.
    check: Comparison of a bundle's ONNX file with scored logits.
    plain_pixels: Network from pixels to probabilities, as it is exported.
    checked_pixels: ONNX file that refuses what are no pixels, for MLflow.
    readme: README.md of a bundle.
    tasks: Names of tasks and of their registered models.
    champions: Champions on this machine's disk.
"""
