"""Averages of weights along the path of training: ``torch.optim.swa_utils``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

from rushlight._creation import tensor
from rushlight.autograd.grad_mode import no_grad
from rushlight.engine.core.dtype import int64
from rushlight.nn.modules.batchnorm import _BatchNorm
from rushlight.nn.modules.module import Module
from rushlight.optim.cyclic import _each
from rushlight.optim.optimizer import Optimizer
from rushlight.optim.scheduler_base import LRScheduler

AverageFunction = Callable[[Any, Any, Any], Any]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def get_ema_avg_fn(decay: float = 0.999) -> AverageFunction:
    """The exponential moving average: ``decay`` times the old one and the rest of the new.

    >>> import rushlight as torch
    >>> torch.optim.swa_utils.get_ema_avg_fn(0.5)(torch.zeros(1), torch.ones(1), 1)
    tensor([0.5000])
    """
    _check_decay(decay)

    def average(averaged: Any, current: Any, _: Any) -> Any:
        with no_grad():
            return averaged * decay + current * (1 - decay)

    return average


def get_swa_avg_fn() -> AverageFunction:
    """The plain mean of all models so far.

    >>> import rushlight as torch
    >>> torch.optim.swa_utils.get_swa_avg_fn()(torch.zeros(1), torch.ones(1), 3)
    tensor([0.2500])
    """

    def average(averaged: Any, current: Any, count: Any) -> Any:
        with no_grad():
            return averaged + (current - averaged) / (count + 1)

    return average


def _for_all(average: AverageFunction) -> Callable[[Any, Any, Any], None]:
    """The form of an average that writes into lists of tensors."""

    def update(averaged: Any, current: Any, count: Any) -> None:
        with no_grad():
            for old, new in zip(averaged, current, strict=True):
                old.copy_(average(old, new, count))

    return update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], None]:
    """``get_ema_avg_fn`` for lists of tensors, written into the first."""
    return _for_all(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable[[Any, Any, Any], None]:
    """``get_swa_avg_fn`` for lists of tensors, written into the first."""
    return _for_all(get_swa_avg_fn())


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's along its training.

    Args:
        model: what is averaged.
        device: where the average lives.
        avg_fn: gives the new average of one tensor from the old one, the model's, and how many
            have been averaged; the plain mean by default.
        multi_avg_fn: the same for all tensors at once, in place.
        use_buffers: average buffers too, instead of copying them.

    From Izmailov and others, Averaging weights leads to wider optima and better generalization,
    2018.

    >>> import rushlight as torch
    >>> model = torch.nn.Linear(1, 1)
    >>> averaged = torch.optim.swa_utils.AveragedModel(model)
    >>> averaged.update_parameters(model)
    >>> averaged.n_averaged
    tensor(1)
    """

    def __init__(
        self,
        model: Any,
        device: Any = None,
        avg_fn: AverageFunction | None = None,
        multi_avg_fn: Callable[[Any, Any, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Any) -> None:
        """Take the model as it is now into the average."""

        def members(module: Any) -> list[Any]:
            found = module.parameters()
            if self.use_buffers:
                found = chain(found, module.buffers())
            return [x.detach() for x in found]

        own, others = members(self.module), members(model)
        with no_grad():
            if int(self.n_averaged) == 0:
                for mine, other in zip(own, others, strict=True):
                    mine.copy_(other)
            else:
                update = self.multi_avg_fn
                if update is None:
                    update = _for_all(self.avg_fn or get_swa_avg_fn())
                update(own, others, self.n_averaged)
            if not self.use_buffers:
                for mine, other in zip(self.module.buffers(), model.buffers(), strict=True):
                    mine.detach().copy_(other.detach())
            self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Measure the running statistics of all batch norms of ``model`` anew.

    Args:
        loader: batches; of a tuple or list the first element is the input.
        model: the model, which runs once over them in training mode.
        device: where the inputs are moved to.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    was_training = model.training
    with no_grad():
        model.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        for batch in loader:
            input = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(input if device is None else input.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """The rate moves to a fixed value and stays there, while weights are averaged.

    Args:
        optimizer: whose rates are changed.
        swa_lr: the value, one number or one per group.
        anneal_epochs: how long it takes.
        anneal_strategy: ``"cos"`` or ``"linear"``.

    >>> import rushlight as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.5).get_last_lr()
    [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = _each(optimizer, swa_lr, "swa_lr")
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                "anneal_strategy must be one of 'cos' or 'linear', instead got "
                f"{anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(
                f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}"
            )
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the way has been gone after ``step`` epochs."""
        part = max(0, min(1, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * part)) / 2 if self._anneal_strategy == "cos" else part

    def get_lr(self) -> list[float]:
        """The rates of the next epoch, from the present ones."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group, lr in zip(self.optimizer.param_groups, self._now(), strict=True):
            end = group["swa_lr"]
            begin = end if before == 1 else (lr - before * end) / (1 - before)
            rates.append(end * now + begin * (1 - now))
        return rates
