"""Optimizers: ``torch.optim``."""

from rushlight.optim import lr_scheduler as lr_scheduler
from rushlight.optim.adagrad import Adagrad as Adagrad
from rushlight.optim.adam import Adam as Adam, AdamW as AdamW
from rushlight.optim.adaptive import (
    Adadelta as Adadelta,
    Adamax as Adamax,
    NAdam as NAdam,
    RAdam as RAdam,
)
from rushlight.optim.optimizer import Optimizer as Optimizer
from rushlight.optim.rmsprop import RMSprop as RMSprop
from rushlight.optim.sgd import SGD as SGD
from rushlight.optim.signs import ASGD as ASGD, Rprop as Rprop
