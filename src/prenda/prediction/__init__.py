"""Prediction: photos and a bundle in, answers out. Needs neither torch, Lightning, Hydra nor MLflow.

Modules:
    classify: One prediction from request to summary.
    models: Choice of the bundle that answers.
    predictor: A bundle's network in ONNX Runtime.
    pipeline: Photos through decoding, preparation and network, in several threads.
    answer: Answers in words, and when a model is unsure.
    reasons: Reasons of unsure answers, and warnings of models, in English and Spanish.
    outputs: Files of answers, resumed after an interruption.
    formats: CSV, JSON, JSON lines and Parquet.
    sorting: Photos in one folder for each type of garment.
    explain: Pictures of the preparation and of where the network looked.
    show: Table, progress and summary in the terminal.
    names: File names in the terminal, in outputs and as names of folders.
"""
