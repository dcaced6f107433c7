"""Rprop and averaged gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._tensor import Tensor
from rushlight.engine.trace import views
from rushlight.optim.optimizer import (
    Closure,
    Optimizer,
    advance,
    check_at_least,
    common_options,
    new_step,
    with_decay,
)


def rprop(
    param: Any, grad: Any, previous: Any, size: Any, *, shrink: Any, grow: Any, smallest: Any,
    largest: Any, maximize: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """Steps by sign alone; see Riedmiller and Braun, 1993."""
    if maximize:
        grad = -grad
    agreement = (grad * previous).sign()
    up, down = agreement.relu(), (-agreement).relu()  # 1 where it holds, else 0
    factor = up * grow + down * shrink + (1 - up - down)
    size = (size * factor).maximum(smallest).minimum(largest)
    grad = grad * (1 - down)
    return param - grad.sign() * size, grad, size


class Rprop(Optimizer):
    """Resilient backpropagation: step sizes grow and shrink with the signs of the gradient.

    See https://pytorch.org/docs/stable/generated/torch.optim.Rprop.html.
    """

    def __init__(
        self, params: Any, lr: Any = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False,
        foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        if not isinstance(lr, Tensor):
            check_at_least("learning rate", lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def step(self, closure: Closure = None) -> Any:
        """Take one step; ``closure`` computes the loss again."""
        loss = self._loss(closure)
        for group in self.param_groups:
            params = self._with_gradients(group)
            new = [p for p in params if not self.state[p]]
            self._begin(params, "prev")
            for p in new:
                first = np.full(tuple(p.shape), float(group["lr"]), p.dtype.numpy)
                self.state[p]["step_size"] = tensor_of_array(first)
            advance(params, self.state)
            numbers = {
                "shrink": group["etas"][0], "grow": group["etas"][1],
                "smallest": group["step_sizes"][0], "largest": group["step_sizes"][1],
            }  # fmt: skip
            names = ("prev", "step_size")
            self._apply(rprop, params, names, numbers, maximize=group["maximize"])
        return loss


def asgd(
    param: Any, grad: Any, average: Any, *, eta: Any, mu: Any, shrink: Any, weight_decay: Any,
    averaging: bool, decay: bool, maximize: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """Gradient descent that also averages its path; see Polyak and Juditsky, 1992."""
    grad = with_decay(param, grad, weight_decay, decay, maximize)
    param = param * shrink - grad * eta
    return param, (average + (param - average) * mu if averaging else param + 0.0)


class ASGD(Optimizer):
    """Averaged stochastic gradient descent.

    See https://pytorch.org/docs/stable/generated/torch.optim.ASGD.html.
    """

    def __init__(
        self, params: Any, lr: Any = 1e-2, lambd: float = 1e-4, alpha: float = 0.75,
        t0: float = 1e6, weight_decay: float = 0, foreach: bool | None = None,
        maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        if not isinstance(lr, Tensor):
            check_at_least("learning rate", lr)
        check_at_least("weight_decay value", weight_decay)
        defaults = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay,
            "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
            "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def step(self, closure: Closure = None) -> Any:
        """Take one step; ``closure`` computes the loss again."""
        loss = self._loss(closure)
        for group in self.param_groups:
            params = self._with_gradients(group)
            self._begin(params, "ax", eta=float(group["lr"]), mu=1.0)
            for count, some in advance(params, self.state).items():
                self._move(group, some, count)
        return loss

    def _move(self, group: dict[str, Any], params: list[Any], count: int) -> None:
        own = self.state[params[0]]
        eta, mu = own["eta"].item(), own["mu"].item()
        numbers = {
            "eta": eta, "mu": mu, "shrink": 1 - group["lambd"] * eta,
            "weight_decay": group["weight_decay"],
        }  # fmt: skip
        self._apply(asgd, params, ("ax",), numbers, averaging=mu != 1, **common_options(group))
        lr = float(group["lr"])
        eta = new_step(lr / (1 + group["lambd"] * lr * count) ** group["alpha"])
        mu = new_step(1 / max(1, count - group["t0"]))
        for p in params:
            views.assign(self.state[p]["eta"], eta._value, None)
            views.assign(self.state[p]["mu"], mu._value, None)
