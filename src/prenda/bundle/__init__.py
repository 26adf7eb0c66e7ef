"""Bundles: models on disk, for prediction without PyTorch.

Modules:
    format: Reading and verifying a bundle; needs the standard library alone.
    export: Writing a bundle from a trained network.
"""
