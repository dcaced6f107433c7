"""Relatives of Adam: Adadelta, Adamax, NAdam and RAdam."""

from __future__ import annotations

from typing import Any

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

Result = tuple[Any, ...]


def _check(lr: Any, eps: float, weight_decay: float, betas: tuple[float, float] | None) -> None:
    if not isinstance(lr, Tensor):
        check_at_least("learning rate", lr)
    check_at_least("epsilon value", eps)
    if betas is not None:
        check_at_least("beta parameter at index 0", betas[0], 0.0, 1.0)
        check_at_least("beta parameter at index 1", betas[1], 0.0, 1.0)
    check_at_least("weight_decay value", weight_decay)


def adadelta(
    param: Any, grad: Any, square: Any, steps: Any, *, lr: Any, rho: Any, eps: Any,
    weight_decay: Any, decay: bool, maximize: bool,
) -> Result:  # fmt: skip
    """Steps in the units of the parameter; see Zeiler, 2012, https://arxiv.org/abs/1212.5701."""
    grad = with_decay(param, grad, weight_decay, decay, maximize)
    square = square * rho + grad * grad * (1 - rho)
    delta = (steps + eps).sqrt() / (square + eps).sqrt() * grad
    steps = steps * rho + delta * delta * (1 - rho)
    return param - delta * lr, square, steps


class Adadelta(Optimizer):
    """Steps scaled by the ratio of running means of squared steps and squared gradients.

    See https://pytorch.org/docs/stable/generated/torch.optim.Adadelta.html.
    """

    def __init__(
        self, params: Any, lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6,
        weight_decay: float = 0, foreach: bool | None = None, *, capturable: bool = False,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        _check(lr, eps, weight_decay, None)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        defaults = {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "capturable": capturable, "foreach": foreach, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def step(self, closure: Closure = None) -> Any:
        """Take one step; ``closure`` computes the loss again."""
        loss = self._loss(closure)
        names = ("square_avg", "acc_delta")
        for group in self.param_groups:
            params = self._with_gradients(group)
            self._begin(params, *names)
            advance(params, self.state)
            numbers = {k: group[k] for k in ("lr", "rho", "eps", "weight_decay")}
            self._apply(adadelta, params, names, numbers, **common_options(group))
        return loss


def adamax(
    param: Any, grad: Any, first: Any, top: Any, *, rate: Any, beta1: Any, beta2: Any, eps: Any,
    weight_decay: Any, decay: bool, maximize: bool,
) -> Result:  # fmt: skip
    """Adam with the largest gradient in place of the mean square; Kingma and Ba, 2014."""
    grad = with_decay(param, grad, weight_decay, decay, maximize)
    first = first + (grad - first) * (1 - beta1)
    top = (top * beta2).maximum(grad.abs() + eps)
    return param - first / top * rate, first, top


class Adamax(Optimizer):
    """Adam with the infinity norm.

    See https://pytorch.org/docs/stable/generated/torch.optim.Adamax.html.
    """

    def __init__(
        self, params: Any, lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, foreach: bool | None = None, *,
        maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        _check(lr, eps, weight_decay, betas)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
            "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def step(self, closure: Closure = None) -> Any:
        """Take one step; ``closure`` computes the loss again."""
        loss = self._loss(closure)
        names = ("exp_avg", "exp_inf")
        for group in self.param_groups:
            params = self._with_gradients(group)
            self._begin(params, *names)
            beta1, beta2 = group["betas"]
            for count, some in advance(params, self.state).items():
                numbers = {
                    "rate": group["lr"] / (1 - beta1**count), "beta1": beta1, "beta2": beta2,
                    "eps": group["eps"], "weight_decay": group["weight_decay"],
                }  # fmt: skip
                self._apply(adamax, some, names, numbers, **common_options(group))
        return loss


def nadam(
    param: Any, grad: Any, first: Any, second: Any, *, rate_grad: Any, rate_mean: Any, beta1: Any,
    beta2: Any, correction2: Any, eps: Any, weight_decay: Any, shrink: Any, decay: bool,
    decoupled: bool, maximize: bool,
) -> Result:  # fmt: skip
    """Adam with Nesterov's momentum; see Dozat, 2016."""
    if decoupled:
        param = param * shrink
    grad = with_decay(param, grad, weight_decay, decay and not decoupled, maximize)
    first = first + (grad - first) * (1 - beta1)
    second = second * beta2 + grad * grad * (1 - beta2)
    denominator = (second / correction2).sqrt() + eps
    param = param - grad / denominator * rate_grad
    return param - first / denominator * rate_mean, first, second


class NAdam(Optimizer):
    """Adam with Nesterov's momentum.

    See https://pytorch.org/docs/stable/generated/torch.optim.NAdam.html.
    """

    def __init__(
        self, params: Any, lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False, *, foreach: bool | None = None,
        maximize: bool = False, capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        _check(lr, eps, weight_decay, betas)
        check_at_least("momentum_decay value", momentum_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def step(self, closure: Closure = None) -> Any:
        """Take one step; ``closure`` computes the loss again."""
        loss = self._loss(closure)
        names = ("exp_avg", "exp_avg_sq")
        for group in self.param_groups:
            params = self._with_gradients(group)
            self._begin(params, *names, mu_product=1.0)
            for count, some in advance(params, self.state).items():
                numbers = self._numbers(group, some, count)
                self._apply(
                    nadam, some, names, numbers, decoupled=group["decoupled_weight_decay"],
                    **common_options(group),
                )  # fmt: skip
        return loss

    def _numbers(self, group: dict[str, Any], params: list[Any], count: int) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        lr, slope = group["lr"], group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (count * slope))
        following = beta1 * (1.0 - 0.5 * 0.96 ** ((count + 1) * slope))
        product = self.state[params[0]]["mu_product"].item() * mu
        for p in params:
            views.assign(self.state[p]["mu_product"], new_step(product)._value, None)
        return {
            "rate_grad": lr * (1.0 - mu) / (1.0 - product),
            "rate_mean": lr * following / (1.0 - product * following),
            "beta1": beta1, "beta2": beta2, "correction2": 1 - beta2**count, "eps": group["eps"],
            "weight_decay": group["weight_decay"], "shrink": 1 - lr * group["weight_decay"],
        }  # fmt: skip


def radam(
    param: Any, grad: Any, first: Any, second: Any, *, rate: Any, beta1: Any, beta2: Any,
    scale: Any, eps: Any, weight_decay: Any, shrink: Any, rectified: bool, decay: bool,
    decoupled: bool, maximize: bool,
) -> Result:  # fmt: skip
    """Adam that waits for its variance; see Liu et al., 2019, https://arxiv.org/abs/1908.03265."""
    if decoupled:
        param = param * shrink
    grad = with_decay(param, grad, weight_decay, decay and not decoupled, maximize)
    first = first + (grad - first) * (1 - beta1)
    second = second * beta2 + grad * grad * (1 - beta2)
    step = first * rate
    if rectified:
        step = step * scale / (second.sqrt() + eps)
    return param - step, first, second


class RAdam(Optimizer):
    """Adam with a rectified second moment.

    See https://pytorch.org/docs/stable/generated/torch.optim.RAdam.html.
    """

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, decoupled_weight_decay: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        _check(lr, eps, weight_decay, betas)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def step(self, closure: Closure = None) -> Any:
        """Take one step; ``closure`` computes the loss again."""
        loss = self._loss(closure)
        names = ("exp_avg", "exp_avg_sq")
        for group in self.param_groups:
            params = self._with_gradients(group)
            self._begin(params, *names)
            for count, some in advance(params, self.state).items():
                numbers, rectified = _rectified(group, count)
                self._apply(
                    radam, some, names, numbers, rectified=rectified,
                    decoupled=group["decoupled_weight_decay"], **common_options(group),
                )  # fmt: skip
        return loss


def _rectified(group: dict[str, Any], count: int) -> tuple[dict[str, Any], bool]:
    beta1, beta2 = group["betas"]
    correction2 = 1 - beta2**count
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * count * beta2**count / correction2
    rectified, scale = length > 5.0, 0.0
    if rectified:
        above = (length - 4) * (length - 2) * longest
        below = (longest - 4) * (longest - 2) * length
        scale = (above / below) ** 0.5 * correction2**0.5
    numbers = {
        "rate": group["lr"] / (1 - beta1**count), "beta1": beta1, "beta2": beta2, "scale": scale,
        "eps": group["eps"], "weight_decay": group["weight_decay"],
        "shrink": 1 - group["lr"] * group["weight_decay"],
    }  # fmt: skip
    return numbers, rectified
