"""Prediction: photos and a bundle in, answers out. Needs neither torch, Lightning, Hydra nor MLflow.

Modules:
    models: Choice of the bundle that answers.
    predictor: A bundle's network in ONNX Runtime.
    pipeline: Photos through decoding, preparation and network, in several threads.
    answer: Answers in words, and when a model is unsure.
    outputs: Files of answers: CSV, JSON, JSON lines and Parquet.
    sorting: Photos in one folder for each type of garment.
    explain: Pictures of the preparation and of where the network looked.
    names: File names in the terminal, in outputs and as names of folders.
"""
