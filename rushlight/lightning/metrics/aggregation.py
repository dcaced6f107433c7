"""Metrics of plain values: mean, sum, least, greatest, all."""

from __future__ import annotations

import math
from typing import Any

from rushlight._bind import namespace
from rushlight._creation import as_tensor, tensor
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import float32
from rushlight.lightning.metrics.metric import Metric

_torch = namespace("torch")


def _floats(value: Any) -> Tensor:
    return as_tensor(value).detach().to(float32)


class MeanMetric(Metric):
    """The mean of values, each with a weight.

    >>> import rushlight as torch
    >>> mean = MeanMetric()
    >>> mean.update(1.0); mean.update(torch.tensor([2.0, 6.0]))
    >>> mean.compute()
    tensor(3.)
    """

    mean_value: Tensor
    weight: Tensor

    def __init__(self, nan_strategy: Any = "warn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("mean_value", tensor(0.0), "sum")
        self.add_state("weight", tensor(0.0), "sum")

    def update(self, value: Any, weight: Any = 1.0) -> None:
        """Add values with their weights."""
        found = _floats(value)
        weights = _floats(weight).expand(found.shape)
        self.mean_value = self.mean_value + (found * weights).sum()
        self.weight = self.weight + weights.sum()

    def compute(self) -> Tensor:
        """The mean of everything added."""
        return self.mean_value / self.weight


class SumMetric(Metric):
    """The sum of values.

    >>> total = SumMetric()
    >>> total.update(1.0); total.update(2.0)
    >>> total.compute()
    tensor(3.)
    """

    sum_value: Tensor

    def __init__(self, nan_strategy: Any = "warn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("sum_value", tensor(0.0), "sum")

    def update(self, value: Any) -> None:
        """Add values."""
        self.sum_value = self.sum_value + _floats(value).sum()

    def compute(self) -> Tensor:
        """The sum of everything added."""
        return self.sum_value


class MaxMetric(Metric):
    """The greatest of values.

    >>> greatest = MaxMetric()
    >>> greatest.update(1.0); greatest.update(3.0); greatest.update(2.0)
    >>> greatest.compute()
    tensor(3.)
    """

    max_value: Tensor

    def __init__(self, nan_strategy: Any = "warn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("max_value", tensor(-math.inf), "max")

    def update(self, value: Any) -> None:
        """Look at values."""
        self.max_value = self.max_value.maximum(_floats(value).max())

    def compute(self) -> Tensor:
        """The greatest of everything."""
        return self.max_value


class MinMetric(Metric):
    """The least of values.

    >>> least = MinMetric()
    >>> least.update(3.0); least.update(1.0); least.update(2.0)
    >>> least.compute()
    tensor(1.)
    """

    min_value: Tensor

    def __init__(self, nan_strategy: Any = "warn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("min_value", tensor(math.inf), "min")

    def update(self, value: Any) -> None:
        """Look at values."""
        self.min_value = self.min_value.minimum(_floats(value).min())

    def compute(self) -> Tensor:
        """The least of everything."""
        return self.min_value


class CatMetric(Metric):
    """All values, one behind the other.

    >>> every = CatMetric()
    >>> every.update(1.0); every.update([2.0, 3.0])
    >>> every.compute()
    tensor([1., 2., 3.])
    """

    value: list[Tensor]

    def __init__(self, nan_strategy: Any = "warn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("value", [], "cat")

    def update(self, value: Any) -> None:
        """Keep values."""
        self.value.append(_floats(value).reshape(-1))

    def compute(self) -> Any:
        """Everything kept."""
        return _torch["cat"](self.value) if self.value else tensor([])
