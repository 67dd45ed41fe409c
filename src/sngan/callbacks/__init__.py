"""Callbacks: code of one's own that runs along with a training, and what is shipped for it."""

from sngan.callbacks.callback import Callback as Callback
from sngan.callbacks.callback import Training as Training
from sngan.callbacks.early_stopping import EarlyStopping as EarlyStopping
from sngan.callbacks.loggers import FabricLogger as FabricLogger
from sngan.callbacks.mlflow_run import MLflow as MLflow
from sngan.callbacks.naming import CALLBACKS as CALLBACKS
from sngan.callbacks.naming import as_callbacks as as_callbacks
from sngan.callbacks.wandb_run import Wandb as Wandb

__all__ = [
    "CALLBACKS",
    "Callback",
    "EarlyStopping",
    "FabricLogger",
    "MLflow",
    "Training",
    "Wandb",
    "as_callbacks",
]
