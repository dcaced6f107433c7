"""Several metrics that are given the same batches."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from rushlight.lightning.metrics.metric import Metric
from rushlight.nn.modules.container import ModuleDict


class MetricCollection(ModuleDict):
    """Metrics by name, updated together.

    Args:
        metrics: a metric, a list of them, or a dictionary of them by name.
        additional_metrics: further ones.
        prefix, postfix: put before and after the names.

    >>> import rushlight as torch
    >>> from rushlight.lightning.metrics import MeanAbsoluteError, MeanSquaredError
    >>> both = MetricCollection([MeanSquaredError(), MeanAbsoluteError()], prefix="val_")
    >>> both(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 2.0]))
    {'val_MeanSquaredError': tensor(2.), 'val_MeanAbsoluteError': tensor(1.)}
    """

    def __init__(
        self, metrics: Any, *additional_metrics: Metric, prefix: str | None = None,
        postfix: str | None = None, compute_groups: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.prefix = prefix
        self.postfix = postfix
        if isinstance(metrics, Mapping):
            named = dict(metrics)
        else:
            listed = [metrics] if isinstance(metrics, Metric) else list(metrics)
            named = {}
            for metric in [*listed, *additional_metrics]:
                name = type(metric).__name__
                if name in named:
                    raise ValueError(f"Encountered two metrics both named {name}")
                named[name] = metric
        for name, metric in named.items():
            if not isinstance(metric, Metric):
                raise ValueError(
                    f"Value {metric} belonging to key {name} is not an instance of `Metric`"
                )
            self[name] = metric

    def _name(self, name: str) -> str:
        return f"{self.prefix or ''}{name}{self.postfix or ''}"

    def _members(self) -> list[tuple[str, Metric]]:
        return [(name, metric) for name, metric in self._modules.items()]  # type: ignore[misc]

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Update all; their values for this batch."""
        return {
            self._name(name): metric(*args, **_taken(metric, kwargs))
            for name, metric in self._members()
        }

    def update(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Add a batch to all."""
        for _, metric in self._members():
            metric.update(*args, **_taken(metric, kwargs))

    def compute(self) -> dict[str, Any]:
        """The values of all."""
        return {self._name(name): metric.compute() for name, metric in self._members()}

    def reset(self) -> None:
        """Begin all anew."""
        for _, metric in self._members():
            metric.reset()

    def items(self, keep_base: bool = False, copy_state: bool = True) -> Any:
        """Names and metrics; ``keep_base`` leaves prefix and postfix out."""
        return [(name if keep_base else self._name(name), m) for name, m in self._members()]

    def clone(self, prefix: str | None = None, postfix: str | None = None) -> MetricCollection:
        """The same metrics anew, with other names."""
        metrics = {name: metric.clone() for name, metric in self._members()}
        return MetricCollection(
            metrics, prefix=prefix or self.prefix, postfix=postfix or self.postfix
        )


def _taken(metric: Metric, given: dict[str, Any]) -> dict[str, Any]:
    if not given:
        return given
    update = getattr(metric.update, "__wrapped__", metric.update)
    parameters: Sequence[str] = list(inspect.signature(update).parameters)
    return {key: value for key, value in given.items() if key in parameters}
