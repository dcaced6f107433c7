"""The limited-memory method of Broyden, Fletcher, Goldfarb and Shanno."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight._tensor import Tensor
from rushlight.autograd.grad_mode import enable_grad
from rushlight.engine.ir.op import function_of
from rushlight.optim.line_search import Point, strong_wolfe
from rushlight.optim.optimizer import Optimizer, check_at_least


def _cat(parts: list[Any]) -> Any:
    return function_of("torch.cat")(parts)


class LBFGS(Optimizer):
    """L-BFGS: steps along a direction in which the last gradients stand for the curvature.

    ``step`` needs a closure that clears the gradients, computes the loss, calls ``backward`` and
    gives the loss.

    Args:
        params: what to optimize, in one group.
        lr: learning rate.
        max_iter: iterations in one step.
        max_eval: evaluations of the loss in one step; ``max_iter * 1.25`` by default.
        tolerance_grad: stop when no element of the gradient is larger.
        tolerance_change: stop when parameters or loss change less.
        history_size: how many gradients are remembered.
        line_search_fn: ``"strong_wolfe"`` or ``None``.

    See https://pytorch.org/docs/stable/generated/torch.optim.LBFGS.html, and Liu and Nocedal, On
    the limited memory BFGS method for large scale optimization, 1989.

    >>> import rushlight as torch
    >>> w = torch.ones(2, requires_grad=True)
    >>> optimizer = torch.optim.LBFGS([w])
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 3.0) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure)
    tensor(8., grad_fn=<SumBackward0>)
    >>> w
    tensor([3., 3.], requires_grad=True)
    """

    def __init__(
        self, params: Any, lr: Any = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        check_at_least("learning rate", float(lr))
        defaults = {
            "lr": lr, "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change,
            "history_size": history_size, "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Any]:
        return self.param_groups[0]["params"]

    def _gradient(self) -> Any:
        """All gradients as one vector."""
        parts = [
            p.new_zeros(p.numel()) if p.grad is None else p.grad.detach().reshape(-1)
            for p in self._params
        ]
        return _cat(parts)

    def _move(self, length: float, direction: Any) -> None:
        """Add ``length * direction`` to the parameters."""
        start = 0
        for p in self._params:
            stop = start + p.numel()
            p.add_(direction[start:stop].reshape(p.shape) * length)
            start = stop

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Take up to ``max_iter`` iterations; the loss before the first."""
        evaluate = enable_grad()(closure)
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = evaluate()
        state["func_evals"] += 1
        run = _Run(self, evaluate, float(first_loss), self._gradient())
        if not run.flat():
            run.go_on()
        return first_loss


class _Run:
    """The iterations of one step."""

    def __init__(
        self, optimizer: LBFGS, evaluate: Callable[[], Any], loss: float, gradient: Any
    ) -> None:
        self.optimizer = optimizer
        self.evaluate = evaluate
        self.loss = loss
        self.gradient = gradient
        self.evaluations = 1
        self.group = optimizer.param_groups[0]
        self.state = optimizer.state[optimizer._params[0]]

    def flat(self) -> bool:
        """Whether the gradient is as good as zero."""
        return float(self.gradient.abs().max()) <= self.group["tolerance_grad"]

    def go_on(self) -> None:
        """Iterate until one of the conditions to stop holds."""
        group, state = self.group, self.state
        tolerance = group["tolerance_change"]
        lr = float(group["lr"])
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction()
            length = lr
            if state["n_iter"] == 1:
                length = min(1.0, 1.0 / float(self.gradient.abs().sum())) * lr
            last_loss = self.loss
            slope = float(self.gradient.dot(direction))
            state.update(
                d=direction, t=length, prev_flat_grad=self.gradient.clone(), prev_loss=last_loss
            )
            if slope > -tolerance:
                return
            length = self._advance(direction, length, slope, iteration == group["max_iter"])
            state["t"] = length
            if (
                self.evaluations >= group["max_eval"]
                or self.flat()
                or float((direction * length).abs().max()) <= tolerance
                or abs(self.loss - last_loss) < tolerance
            ):
                return

    def _direction(self) -> Any:
        """The quasi-Newton direction, by the recursion over what is remembered."""
        state = self.state
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -self.gradient
        changes, moves, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        change = self.gradient - state["prev_flat_grad"]
        move = state["d"] * state["t"]
        curvature = float(change.dot(move))
        if curvature > 1e-10:
            if len(changes) == self.group["history_size"]:
                for remembered in (changes, moves, inverses):
                    remembered.pop(0)
            changes.append(change)
            moves.append(move)
            inverses.append(1.0 / curvature)
            state["H_diag"] = curvature / float(change.dot(change))
        q = -self.gradient
        weights = []
        for change, move, inverse in zip(
            reversed(changes), reversed(moves), reversed(inverses), strict=True
        ):
            weights.append(move.dot(q) * inverse)
            q = q - change * weights[-1]
        r = q * state["H_diag"]
        for change, move, inverse in zip(changes, moves, inverses, strict=True):
            r = r + move * (weights.pop() - change.dot(r) * inverse)
        return r

    def _advance(self, direction: Any, length: float, slope: float, last: bool) -> float:
        """Move along ``direction``, by a line search if wanted; how far."""
        optimizer, search = self.optimizer, self.group["line_search_fn"]
        used = 0
        if search == "strong_wolfe":
            point, used = self._search(direction, length, slope)
            self.loss, self.gradient, length = point.loss, point.gradient, point.length
            optimizer._move(length, direction)
        elif search is not None:
            raise RuntimeError("only 'strong_wolfe' is supported")
        else:
            optimizer._move(length, direction)
            if not last:
                self.loss = float(self.evaluate())
                self.gradient = optimizer._gradient()
                used = 1
        self.evaluations += used
        self.state["func_evals"] += used
        return length

    def _search(self, direction: Any, length: float, slope: float) -> tuple[Point, int]:
        optimizer = self.optimizer
        before = [p.detach().clone() for p in optimizer._params]

        def look(at: float) -> Point:
            optimizer._move(at, direction)
            loss = float(self.evaluate())
            gradient = optimizer._gradient()
            for p, value in zip(optimizer._params, before, strict=True):
                p.copy_(value)
            return Point(at, loss, gradient, float(gradient.dot(direction)))

        start = Point(0.0, self.loss, self.gradient, slope)
        longest = float(direction.abs().max())
        return strong_wolfe(
            look, start, length, longest, most=self.group["max_eval"] - self.evaluations
        )
