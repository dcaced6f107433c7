"""What ``self.log`` has been told: kept as tensors, read late, so that no step waits for a number.

Note: when numbers are read
    A logged tensor is held until the loop has run the step that computes it. Only then, many steps
    at once, are the numbers read and added up (in double precision). Reading a computed number
    waits for nothing.
"""

from __future__ import annotations

from typing import Any

from rushlight._creation import tensor
from rushlight._tensor import Tensor
from rushlight.engine.trace.recorder import wrap
from rushlight.lightning.metrics.metric import Metric

#: Values of one name that are held before they are added up.
HELD = 64

_REDUCTIONS = ("mean", "sum", "min", "max")


class Entry:
    """All values of one name in one epoch.

    Attributes:
        name: as given to ``self.log``.
        loader: the number of the loader it belongs to, where there are several.
        last: the newest value.
    """

    __slots__ = (
        "count", "last", "loader", "logger", "metric", "name", "on_epoch", "on_step", "pending",
        "prog_bar", "reduce", "total", "weight",
    )  # fmt: skip

    def __init__(
        self, name: str, loader: int | None, on_step: bool, on_epoch: bool, prog_bar: bool,
        logger: bool, reduce: str,
    ) -> None:  # fmt: skip
        self.name = name
        self.loader = loader
        self.on_step = on_step
        self.on_epoch = on_epoch
        self.prog_bar = prog_bar
        self.logger = logger
        self.reduce = reduce
        self.metric: Metric | None = None
        self.last: Any = None
        self.pending: list[tuple[Any, int]] = []
        self.total = self.weight = 0.0
        self.count = 0

    def add(self, value: Any, weight: int) -> None:
        """Take a value; numbers are read later."""
        self.last = value
        if self.on_epoch:
            self.pending.append((value, weight))
            if len(self.pending) > HELD:
                self.fold(keep=1)  # the newest may belong to a step that has not run

    def fold(self, keep: int = 0) -> None:
        """Read the numbers held, but for the newest ``keep``, and add them up."""
        count = len(self.pending) - keep
        for value, weight in self.pending[:count]:
            number = float(value)
            if self.reduce in ("mean", "sum"):
                self.total += number * (weight if self.reduce == "mean" else 1)
                self.weight += weight
            elif self.count == 0 or (number < self.total) == (self.reduce == "min"):
                self.total = number
            self.count += 1
        del self.pending[:count]

    def value(self) -> float | Tensor:
        """The value of the epoch so far."""
        if self.metric is not None:
            computed = self.metric.compute()
            return computed if isinstance(computed, Tensor) else float(computed)
        self.fold()
        if self.reduce == "mean":
            return self.total / self.weight if self.weight else float("nan")
        return self.total

    @property
    def full_name(self) -> str:
        """The name, with the number of the loader where there are several."""
        return self.name if self.loader is None else f"{self.name}/dataloader_idx_{self.loader}"

    @property
    def forked(self) -> bool:
        """Whether values of steps and of epochs go by names of their own."""
        return self.on_step and self.on_epoch

    def state(self) -> dict[str, Any]:
        """What must be kept to go on in the middle of an epoch."""
        self.fold()
        plain = ("name", "loader", "on_step", "on_epoch", "prog_bar", "logger", "reduce")
        kept = {key: getattr(self, key) for key in plain}
        return {**kept, "total": self.total, "weight": self.weight, "count": self.count}


class Logged:
    """The values of one loop (training, or one kind of evaluation)."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, int | None], Entry] = {}
        self._ended = False

    def begin(self) -> None:
        """Forget the epoch before."""
        self.entries.clear()
        self._ended = False

    def end(self) -> None:
        """The values of the epoch have been read: metrics begin anew."""
        self._ended = True
        for entry in self.entries.values():
            if entry.metric is not None:
                entry.metric.reset()

    def log(
        self, name: str, value: Any, loader: int | None, weight: int, on_step: bool,
        on_epoch: bool, prog_bar: bool, logger: bool, reduce: Any, metric: Metric | None = None,
    ) -> None:  # fmt: skip
        """Take one value."""
        entry = self.entries.get((name, loader))
        if entry is None:
            entry = Entry(name, loader, on_step, on_epoch, prog_bar, logger, reduction_name(reduce))
            self.entries[name, loader] = entry
        elif entry.on_step is not on_step or entry.on_epoch is not on_epoch:
            raise RuntimeError(
                f"You called `self.log({name}, ...)` twice with different arguments. This is not "
                "allowed; log it under another name"
            )
        if metric is not None:
            entry.metric = metric
            entry.last = metric._forward_value
            return
        entry.add(snapshot(value), weight)

    def step_values(self, purpose: str = "callback") -> dict[str, Any]:
        """The newest value of every name that is logged at steps."""
        found = {}
        for entry in self.entries.values():
            if entry.on_step and _wanted(entry, purpose) and entry.last is not None:
                found[entry.full_name + "_step" * entry.forked] = entry.last
                if entry.forked and purpose == "callback" and not self._ended:
                    found[entry.full_name] = entry.last
        return found

    def epoch_values(self, purpose: str = "callback") -> dict[str, Any]:
        """The values of the epoch."""
        found = {}
        for entry in self.entries.values():
            if entry.on_epoch and _wanted(entry, purpose):
                value = entry.value()
                found[entry.full_name + "_epoch" * entry.forked] = value
                if entry.forked and purpose == "callback":
                    found[entry.full_name] = value
        return found

    def state(self) -> list[dict[str, Any]]:
        """What must be kept to go on in the middle of an epoch (metrics are kept elsewhere)."""
        return [entry.state() for entry in self.entries.values() if entry.metric is None]

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """Take over what ``state`` gave."""
        self.begin()
        for state in states:
            kept = dict(state)
            sums = {key: kept.pop(key) for key in ("total", "weight", "count")}
            entry = Entry(**kept)
            for key, value in sums.items():
                setattr(entry, key, value)
            self.entries[entry.name, entry.loader] = entry


def _wanted(entry: Entry, purpose: str) -> bool:
    if purpose == "logger":
        return entry.logger
    return entry.prog_bar if purpose == "prog_bar" else True


def reduction_name(given: Any) -> str:
    """``mean``, ``sum``, ``min`` or ``max``, however it was said.

    >>> import rushlight as torch
    >>> reduction_name(torch.sum), reduction_name("avg")
    ('sum', 'mean')
    """
    name = given if isinstance(given, str) else getattr(given, "__name__", str(given))
    name = {"avg": "mean", "amin": "min", "amax": "max"}.get(name.lower(), name.lower())
    if name not in _REDUCTIONS:
        raise ValueError(
            "Only `self.log(..., reduce_fx={min,max,mean,sum})` are supported. If you need a "
            f"custom reduction, please log a `Metric` instance instead. Found: {given}"
        )
    return name


def snapshot(value: Any) -> Any:
    """A logged value as it is now, apart from its graph.

    The recorded value itself is held, not a view of the tensor: a backward pass that follows is
    the one that would have come without it.
    """
    if not isinstance(value, Tensor) or value._value.meta.numel != 1:
        return value
    return wrap(value._read())


def as_tensor(value: Any) -> Tensor:
    """A logged value as a tensor, as ``trainer.callback_metrics`` holds it.

    >>> as_tensor(0.5)
    tensor(0.5000)
    """
    return value if isinstance(value, Tensor) else tensor(float(value))


def as_number(value: Any) -> Any:
    """A logged value as a Python number; a tensor of several elements stays one.

    >>> as_number(as_tensor(0.5))
    0.5
    """
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else value
    return value
