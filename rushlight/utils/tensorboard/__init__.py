"""Logs for TensorBoard: ``torch.utils.tensorboard``."""

from rushlight.utils.tensorboard._protos import RecordWriter as RecordWriter
from rushlight.utils.tensorboard.writer import (
    FileWriter as FileWriter,
    SummaryWriter as SummaryWriter,
)
