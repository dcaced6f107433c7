"""RMSprop."""

from __future__ import annotations

from typing import Any

from rushlight._tensor import Tensor
from rushlight.optim.optimizer import (
    Closure,
    Optimizer,
    advance,
    check_at_least,
    common_options,
    with_decay,
)


def rmsprop(
    param: Any, grad: Any, square: Any, *others: Any, lr: Any, alpha: Any, eps: Any,
    weight_decay: Any, momentum: Any, centered: bool, moving: bool, decay: bool, maximize: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """Divide by the root of a running mean of squares (Tieleman and Hinton, 2012)."""
    grad = with_decay(param, grad, weight_decay, decay, maximize)
    square = square * alpha + grad * grad * (1 - alpha)
    variance = square
    mean: tuple[Any, ...] = ()
    if centered:
        average = others[-1] + (grad - others[-1]) * (1 - alpha)
        variance, mean = square - average * average, (average,)
    step = grad / (variance.sqrt() + eps)
    if not moving:
        return (param - step * lr, square, *mean)
    buffer = others[0] * momentum + step
    return (param - buffer * lr, square, buffer, *mean)


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of squared gradients.

    Args:
        params: what to optimize.
        lr: learning rate.
        alpha: how slowly the mean moves.
        eps: added to the denominator.
        weight_decay: L2 penalty.
        momentum: share of the last step that is kept.
        centered: divide by the standard deviation instead.
        maximize: go uphill.

    See https://pytorch.org/docs/stable/generated/torch.optim.RMSprop.html.
    """

    def __init__(
        self, params: Any, lr: Any = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0, momentum: float = 0, centered: bool = False,
        capturable: bool = False, foreach: bool | None = None, maximize: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        if not isinstance(lr, Tensor):
            check_at_least("learning rate", lr)
        check_at_least("epsilon value", eps)
        check_at_least("momentum value", momentum)
        check_at_least("weight_decay value", weight_decay)
        check_at_least("alpha value", alpha)
        defaults = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def step(self, closure: Closure = None) -> Any:
        """Take one step; ``closure`` computes the loss again."""
        loss = self._loss(closure)
        for group in self.param_groups:
            params = self._with_gradients(group)
            names = ["square_avg"]
            if group["momentum"] > 0:
                names.append("momentum_buffer")
            if group["centered"]:
                names.append("grad_avg")
            self._begin(params, *names)
            advance(params, self.state)
            numbers = {k: group[k] for k in ("lr", "alpha", "eps", "weight_decay", "momentum")}
            self._apply(
                rmsprop, params, names, numbers, centered=group["centered"],
                moving=group["momentum"] > 0, **common_options(group),
            )  # fmt: skip
        return loss
