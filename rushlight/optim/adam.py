"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from rushlight._tensor import Tensor
from rushlight.optim.optimizer import (
    Closure,
    Optimizer,
    advance,
    check_at_least,
)


def adam(
    param: Any, grad: Any, first: Any, second: Any, *largest: Any, lr: Any, beta1: Any, beta2: Any,
    correction1: Any, inverse_root2: Any, eps: Any, weight_decay: Any, decay: bool,
    decoupled: bool, amsgrad: bool, maximize: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """One step of Adam (Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980), or of AdamW.

    ``correction1`` is ``1 - beta1^t``, ``inverse_root2`` is ``(1 - beta2^t)^(-1/2)``.
    """
    if maximize:
        grad = -grad
    if decay and decoupled:
        param = param * (1 - lr * weight_decay)
    elif decay:
        grad = grad + param * weight_decay
    first = first + (grad - first) * (1 - beta1)
    second = second * beta2 + grad * grad * (1 - beta2)
    if amsgrad:
        top = largest[0].maximum(second)
        denominator = top.sqrt() * inverse_root2 + eps
        return param - first / denominator * (lr / correction1), first, second, top
    denominator = second.sqrt() * inverse_root2 + eps
    return param - first / denominator * (lr / correction1), first, second


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    Args:
        params: what to optimize.
        lr: learning rate.
        betas: how slowly the two means move.
        eps: added to the denominator.
        weight_decay: L2 penalty (or decay of the weights themselves, ``decoupled_weight_decay``).
        amsgrad: never let the second mean shrink; https://openreview.net/forum?id=ryQu7f-RZ.
        maximize: go uphill.

    See https://pytorch.org/docs/stable/generated/torch.optim.Adam.html.

    >>> import rushlight as torch
    >>> w = torch.ones(1, requires_grad=True)
    >>> optimizer = torch.optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000], requires_grad=True)
    """

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False, fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        if not isinstance(lr, Tensor):
            check_at_least("learning rate", lr)
        check_at_least("epsilon value", eps)
        check_at_least("beta parameter at index 0", betas[0], 0.0, 1.0)
        check_at_least("beta parameter at index 1", betas[1], 0.0, 1.0)
        check_at_least("weight_decay value", weight_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable, "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, defaults)

    def step(self, closure: Closure = None) -> Any:
        """Take one step; ``closure`` computes the loss again."""
        loss = self._loss(closure)
        for group in self.param_groups:
            params = self._with_gradients(group)
            names = ("exp_avg", "exp_avg_sq") + (("max_exp_avg_sq",) if group["amsgrad"] else ())
            self._begin(params, *names)
            for count, some in advance(params, self.state).items():
                self._apply(adam, some, names, _numbers(group, count), **_flags(group))
        return loss


def _numbers(group: dict[str, Any], count: int) -> dict[str, Any]:
    beta1, beta2 = group["betas"]
    return {
        "lr": group["lr"],
        "beta1": beta1,
        "beta2": beta2,
        "correction1": 1 - beta1**count,
        "inverse_root2": (1 - beta2**count) ** -0.5,
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
    }


def _flags(group: dict[str, Any]) -> dict[str, bool]:
    return {
        "decay": group["weight_decay"] != 0,
        "decoupled": group["decoupled_weight_decay"],
        "amsgrad": group["amsgrad"],
        "maximize": group["maximize"],
    }


class AdamW(Adam):
    """Adam with decay of the weights themselves; https://arxiv.org/abs/1711.05101.

    >>> import rushlight as torch
    >>> torch.optim.AdamW([torch.ones(1, requires_grad=True)]).defaults["weight_decay"]
    0.01
    """

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *,
        maximize: bool = False, foreach: bool | None = None, capturable: bool = False,
        differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, foreach=foreach,
            capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=True,
        )  # fmt: skip
