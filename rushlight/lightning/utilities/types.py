"""Names that annotations of programs use."""

from __future__ import annotations

from typing import Any

from rushlight.lightning.optimizers import LRSchedulerConfig as LRSchedulerConfig

STEP_OUTPUT = Any
EPOCH_OUTPUT = list[Any]
EVAL_DATALOADERS = Any
TRAIN_DATALOADERS = Any
OptimizerLRScheduler = Any
OptimizerLRSchedulerConfig = dict[str, Any]
LRSchedulerTypeUnion = Any
_METRIC = Any
