"""Prediction: photos and a bundle in, answers out. Needs neither torch, Lightning, Hydra nor MLflow."""
