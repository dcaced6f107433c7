"""Adagrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._tensor import Tensor
from rushlight.optim.optimizer import (
    Closure,
    Optimizer,
    advance,
    check_at_least,
    common_options,
    new_step,
    with_decay,
)


def adagrad(
    param: Any, grad: Any, total: Any, *, rate: Any, eps: Any, weight_decay: Any, decay: bool,
    maximize: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """Divide by the root of the sum of all squares; see Duchi et al., 2011."""
    grad = with_decay(param, grad, weight_decay, decay, maximize)
    total = total + grad * grad
    return param - grad / (total.sqrt() + eps) * rate, total


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of squared gradients so far.

    Args:
        params: what to optimize.
        lr: learning rate.
        lr_decay: how the learning rate falls with the steps.
        weight_decay: L2 penalty.
        initial_accumulator_value: where the sum begins.
        eps: added to the denominator.
        maximize: go uphill.

    See https://pytorch.org/docs/stable/generated/torch.optim.Adagrad.html.
    """

    def __init__(
        self, params: Any, lr: Any = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None,
        *, maximize: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(lr, Tensor):
            check_at_least("learning rate", lr)
        check_at_least("lr_decay value", lr_decay)
        check_at_least("weight_decay value", weight_decay)
        check_at_least("initial_accumulator_value value", initial_accumulator_value)
        check_at_least("epsilon value", eps)
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                start = np.full(tuple(p.shape), initial_accumulator_value, p.dtype.numpy)
                self.state[p] = {"step": new_step(), "sum": tensor_of_array(start)}

    def step(self, closure: Closure = None) -> Any:
        """Take one step; ``closure`` computes the loss again."""
        loss = self._loss(closure)
        for group in self.param_groups:
            params = self._with_gradients(group)
            for count, some in advance(params, self.state).items():
                numbers = {
                    "rate": group["lr"] / (1 + (count - 1) * group["lr_decay"]),
                    "eps": group["eps"],
                    "weight_decay": group["weight_decay"],
                }
                self._apply(adagrad, some, ("sum",), numbers, **common_options(group))
        return loss
