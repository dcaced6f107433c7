"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

from rushlight._tensor import Tensor
from rushlight.engine.trace.recorder import wrap
from rushlight.optim.optimizer import (
    Closure,
    Optimizer,
    check_at_least,
    common_options,
    with_decay,
)
from rushlight.optim.rows import Rows


def sgd(
    param: Any, grad: Any, *, lr: Any, weight_decay: Any, decay: bool, maximize: bool
) -> tuple[Any, ...]:
    """The plain step: ``param - lr grad``."""
    grad = with_decay(param, grad, weight_decay, decay, maximize)
    return (param - grad * lr,)


def sgd_momentum(
    param: Any, grad: Any, buffer: Any, *, lr: Any, momentum: Any, dampening: Any,
    weight_decay: Any, decay: bool, nesterov: bool, maximize: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """The step with momentum; see Sutskever et al., 2013."""
    grad = with_decay(param, grad, weight_decay, decay, maximize)
    buffer = buffer * momentum + grad * (1 - dampening)
    step = grad + buffer * momentum if nesterov else buffer
    return param - step * lr, buffer


def sgd_first(
    param: Any, grad: Any, buffer: Any, *, lr: Any, momentum: Any, weight_decay: Any, decay: bool,
    nesterov: bool, maximize: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """The first step with momentum, which begins the buffer with the gradient itself."""
    grad = with_decay(param, grad, weight_decay, decay, maximize)
    step = grad + grad * momentum if nesterov else grad
    return param - step * lr, grad + 0.0


class SGD(Optimizer):
    """Stochastic gradient descent.

    Args:
        params: what to optimize.
        lr: learning rate.
        momentum: share of the last step that is kept.
        dampening: damps the gradient's share of the momentum.
        weight_decay: L2 penalty.
        nesterov: look ahead along the momentum.
        maximize: go uphill.

    See https://pytorch.org/docs/stable/generated/torch.optim.SGD.html.

    >>> import rushlight as torch
    >>> w = torch.ones(1, requires_grad=True)
    >>> optimizer = torch.optim.SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.], requires_grad=True)
    """

    def __init__(
        self, params: Any, lr: Any = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False,
        foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(lr, Tensor):
            check_at_least("learning rate", lr)
        check_at_least("momentum value", momentum)
        check_at_least("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize, "foreach": foreach,
            "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)

    def step(self, closure: Closure = None) -> Any:
        """Take one step; ``closure`` computes the loss again."""
        loss = self._loss(closure)
        for group in self.param_groups:
            self._step_group(group, self._with_gradients(group))
        return loss

    def _step_group(self, group: dict[str, Any], params: list[Any]) -> None:
        numbers = {"lr": group["lr"], "weight_decay": group["weight_decay"]}
        flags = common_options(group)
        momentum = group["momentum"]
        if momentum == 0:
            self._apply(sgd, params, (), numbers, **flags)
            return
        numbers["momentum"] = momentum
        flags["nesterov"] = group["nesterov"]
        state = self.state
        if isinstance(params, Rows) and params.all_have("momentum_buffer"):
            numbers["dampening"] = group["dampening"]
            self._apply(sgd_momentum, params, ("momentum_buffer",), numbers, **flags)
            return
        new = [p for p in params if state[p].get("momentum_buffer") is None]
        old = [p for p in params if state[p].get("momentum_buffer") is not None]
        numbers_old = {**numbers, "dampening": group["dampening"]}
        self._apply(sgd_momentum, old, ("momentum_buffer",), numbers_old, **flags)
        if new:
            for p in new:
                state[p]["momentum_buffer"] = wrap(p._grad._value)
            self._apply(sgd_first, new, ("momentum_buffer",), numbers, **flags)
