"""The base of metrics: sums over batches, read at the end."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from rushlight._tensor import Tensor
from rushlight.autograd.grad_mode import no_grad
from rushlight.nn.modules.module import Module

State = Any


class Metric(Module):
    """A number over many batches: ``update`` adds a batch, ``compute`` gives it, ``reset`` ends it.

    A subclass calls ``add_state`` in its constructor and writes ``update`` and ``compute``. Calling
    the metric updates it and gives its value for that batch alone. No step waits for a number.

    See https://lightning.ai/docs/torchmetrics/stable/pages/implement.html.

    >>> import rushlight as torch
    >>> class Count(Metric):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.add_state("seen", torch.tensor(0), dist_reduce_fx="sum")
    ...     def update(self, batch):
    ...         self.seen += len(batch)
    ...     def compute(self):
    ...         return self.seen
    >>> count = Count()
    >>> count.update([1, 2]); count([3])
    tensor(1)
    >>> count.compute()
    tensor(3)
    """

    is_differentiable: bool | None = None
    higher_is_better: bool | None = None
    full_state_update: bool | None = None

    def __init__(self, **kwargs: Any) -> None:
        unknown = set(kwargs) - _OPTIONS
        if unknown:
            raise ValueError(f"Unexpected keyword arguments: {', '.join(sorted(unknown))}")
        super().__init__()
        self._defaults: dict[str, State] = {}
        self._reductions: dict[str, str] = {}
        self._update_count = 0
        self._forward_value: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "update" in cls.__dict__:
            cls.update = _counted(cls.__dict__["update"])  # type: ignore[method-assign]

    def add_state(
        self, name: str, default: State, dist_reduce_fx: Any = None, persistent: bool = False
    ) -> None:
        """Have a state: a tensor, or a list of them.

        Args:
            name: the attribute.
            default: its value after ``reset``.
            dist_reduce_fx: how states of two parts of the data become one: ``sum``, ``mean``,
                ``min``, ``max`` or ``cat``.
            persistent: accepted; a state is never part of the ``state_dict``, the trainer's
                checkpoints hold it in any case.
        """
        if not isinstance(default, Tensor) and default != []:
            raise ValueError("state variable must be a tensor or any empty list (where you can "
                             "append tensors)")  # fmt: skip
        found = dist_reduce_fx if isinstance(dist_reduce_fx, str) else "sum"
        if isinstance(default, list):
            found = "cat"
        if found not in ("sum", "mean", "min", "max", "cat"):
            raise ValueError("`dist_reduce_fx` must be callable or one of ['mean', 'sum', 'cat', "
                             "'min', 'max', None]")  # fmt: skip
        self._defaults[name] = default if isinstance(default, list) else default.detach().clone()
        self._reductions[name] = found
        setattr(self, name, _fresh(default))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch."""
        raise NotImplementedError

    def compute(self) -> Any:
        """The value over everything since the last ``reset``."""
        raise NotImplementedError

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch; the value of that batch alone."""
        before, count = self.states(), self._update_count
        self.reset()
        self.update(*args, **kwargs)
        value = self._forward_value = self.compute()
        with no_grad():
            for name, state in before.items():
                setattr(self, name, self._merged(name, state, getattr(self, name), count))
        self._update_count = count + 1
        return value

    def _merged(self, name: str, before: State, batch: State, count: int) -> State:
        how = self._reductions[name]
        if isinstance(before, list):
            return before + batch
        if how == "mean":
            return (before * count + batch) / (count + 1)
        if how in ("min", "max"):
            return before.minimum(batch) if how == "min" else before.maximum(batch)
        return before + batch

    def reset(self) -> None:
        """Begin anew."""
        for name, default in self._defaults.items():
            setattr(self, name, _fresh(default))
        self._update_count = 0

    def states(self) -> dict[str, State]:
        """All states by name."""
        return {name: getattr(self, name) for name in self._defaults}

    def load_states(self, states: dict[str, State], count: int) -> None:
        """Go on from states that ``states`` gave after ``count`` updates."""
        for name, state in states.items():
            setattr(self, name, state)
        self._update_count = count

    def clone(self) -> Metric:
        """Another metric in the same state."""
        return deepcopy(self)

    @property
    def update_called(self) -> bool:
        """Whether a batch has been added."""
        return self._update_count > 0

    @property
    def update_count(self) -> int:
        """How many batches have been added."""
        return self._update_count


_OPTIONS = {
    "compute_on_cpu", "compute_on_step", "compute_with_cache", "dist_sync_fn", "dist_sync_on_step",
    "distributed_available_fn", "process_group", "sync_on_compute",
}  # fmt: skip


def _fresh(default: State) -> State:
    return [] if isinstance(default, list) else default.detach().clone()


def _counted(update: Callable[..., None]) -> Callable[..., None]:
    """An update that is counted and records no gradients."""

    def call(self: Metric, *args: Any, **kwargs: Any) -> None:
        with no_grad():
            update(self, *args, **kwargs)
        self._update_count += 1

    call.__doc__ = update.__doc__
    call.__wrapped__ = update  # type: ignore[attr-defined]
    return call
