"""Loggers: where logged values go."""

from rushlight.lightning.loggers.csv_logs import CSVLogger as CSVLogger
from rushlight.lightning.loggers.logger import Logger as Logger
from rushlight.lightning.loggers.tensorboard import TensorBoardLogger as TensorBoardLogger
