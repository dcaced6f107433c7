"""Optimizers: ``torch.optim``."""

from rushlight.optim import lr_scheduler, swa_utils
from rushlight.optim.adagrad import Adagrad
from rushlight.optim.adam import Adam, AdamW
from rushlight.optim.adaptive import (
    Adadelta,
    Adamax,
    NAdam,
    RAdam,
)
from rushlight.optim.hooks import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from rushlight.optim.lbfgs import LBFGS
from rushlight.optim.optimizer import Optimizer
from rushlight.optim.rmsprop import RMSprop
from rushlight.optim.sgd import SGD
from rushlight.optim.signs import ASGD, Rprop
