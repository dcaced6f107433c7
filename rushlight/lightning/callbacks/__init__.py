"""Callbacks: what happens beside the steps of a run."""

from rushlight.lightning.callbacks.callback import Callback as Callback
from rushlight.lightning.callbacks.early_stopping import EarlyStopping as EarlyStopping
from rushlight.lightning.callbacks.lambda_function import LambdaCallback as LambdaCallback
from rushlight.lightning.callbacks.lr_monitor import LearningRateMonitor as LearningRateMonitor
from rushlight.lightning.callbacks.model_checkpoint import (
    Checkpoint as Checkpoint,
    ModelCheckpoint as ModelCheckpoint,
)
from rushlight.lightning.callbacks.model_summary import ModelSummary as ModelSummary
from rushlight.lightning.callbacks.progress import (
    ProgressBar as ProgressBar,
    TQDMProgressBar as TQDMProgressBar,
)
from rushlight.lightning.callbacks.timer import Timer as Timer
