"""What the fork server of `tests.forked` imports, once, for the commands and trials that it forks.

Of prenda it imports nothing that reads the environment while it is imported.
"""

import hydra.main
import jinja2
import mlflow.models
import mlflow.store.tracking.sqlalchemy_store
import onnxruntime
import optuna
import torch.distributed.launcher.api

import prenda.search.trial
import prenda.training.bundling
from tests.once import operators_registered_once

__all__ = ["hydra", "jinja2", "mlflow", "onnxruntime", "optuna", "prenda", "torch"]

operators_registered_once().from_torchlib()
