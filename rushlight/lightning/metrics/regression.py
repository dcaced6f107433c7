"""Metrics of predictions of numbers, over many batches."""

from __future__ import annotations

from typing import Any

from rushlight._bind import namespace
from rushlight._creation import tensor
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import float32
from rushlight.lightning.metrics.functional import regression as functional
from rushlight.lightning.metrics.metric import Metric

_torch = namespace("torch")


class _MeanOf(Metric):
    """The mean of something over all elements."""

    higher_is_better = False

    total: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", tensor(0.0), "sum")
        self.add_state("count", tensor(0.0), "sum")

    def error(self, preds: Tensor, target: Tensor) -> Tensor:
        """The error of every element."""
        raise NotImplementedError

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        functional.same_shape(preds, target)
        self.total = self.total + self.error(preds, target).sum()
        self.count = self.count + float(preds.numel())

    def compute(self) -> Tensor:
        """The mean over everything."""
        return self.total / self.count


class MeanSquaredError(_MeanOf):
    """The mean of the squared errors, or its root with ``squared=False``.

    >>> import rushlight as torch
    >>> metric = MeanSquaredError()
    >>> metric.update(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 2.0]))
    >>> metric.compute()
    tensor(0.5000)
    """

    def __init__(self, squared: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.squared = squared

    def error(self, preds: Tensor, target: Tensor) -> Tensor:
        """The squared error."""
        apart = preds - target
        return apart * apart

    def compute(self) -> Tensor:
        """The mean over everything."""
        found = super().compute()
        return found if self.squared else found.sqrt()


class MeanAbsoluteError(_MeanOf):
    """The mean of the absolute errors.

    >>> import rushlight as torch
    >>> MeanAbsoluteError()(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 2.0]))
    tensor(0.5000)
    """

    def error(self, preds: Tensor, target: Tensor) -> Tensor:
        """The absolute error."""
        return (preds - target).abs()


class MeanSquaredLogError(_MeanOf):
    """The mean of the squared errors of the logarithms of one more.

    >>> import rushlight as torch
    >>> MeanSquaredLogError()(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
    tensor(0.)
    """

    def error(self, preds: Tensor, target: Tensor) -> Tensor:
        """The squared error of the logarithms."""
        apart = preds.log1p() - target.log1p()
        return apart * apart


class MeanAbsolutePercentageError(_MeanOf):
    """The mean of the absolute errors as parts of the targets.

    >>> import rushlight as torch
    >>> MeanAbsolutePercentageError()(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 4.0]))
    tensor(0.3750)
    """

    def error(self, preds: Tensor, target: Tensor) -> Tensor:
        """The error as a part of the target."""
        return (preds - target).abs() / target.abs().clamp(min=functional._TINY)


class R2Score(Metric):
    """The coefficient of determination.

    >>> import rushlight as torch
    >>> R2Score()(torch.tensor([2.5, 0.0, 2.0, 8.0]), torch.tensor([3.0, -0.5, 2.0, 7.0]))
    tensor(0.9486)
    """

    higher_is_better = True

    count: Tensor
    total: Tensor
    squares: Tensor
    errors: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("count", "total", "squares", "errors"):
            self.add_state(name, tensor(0.0), "sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        functional.same_shape(preds, target)
        self.count = self.count + float(target.shape[0])
        self.total = self.total + target.sum(0)
        self.squares = self.squares + (target * target).sum(0)
        self.errors = self.errors + ((target - preds) ** 2).sum(0)

    def compute(self) -> Tensor:
        """The value over everything."""
        return functional.r2_from(self.count, self.total, self.squares, self.errors)


class _OfAll(Metric):
    """Something that needs all predictions at once."""

    higher_is_better = True

    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("preds", [], "cat")
        self.add_state("target", [], "cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Keep a batch."""
        functional.same_shape(preds, target)
        self.preds.append(preds.detach().to(float32))
        self.target.append(target.detach().to(float32))

    def all(self) -> tuple[Tensor, Tensor]:
        """Everything kept."""
        return _torch["cat"](self.preds), _torch["cat"](self.target)


class ExplainedVariance(_OfAll):
    """Which part of the targets' variance is explained.

    >>> import rushlight as torch
    >>> metric = ExplainedVariance()
    >>> metric(torch.tensor([2.5, 0.0, 2.0, 8.0]), torch.tensor([3.0, -0.5, 2.0, 7.0]))
    tensor(0.9572)
    """

    def compute(self) -> Tensor:
        """The value over everything."""
        return functional.explained_variance(*self.all())


class PearsonCorrCoef(_OfAll):
    """Pearson's correlation.

    >>> import rushlight as torch
    >>> PearsonCorrCoef()(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 6.0]))
    tensor(1.)
    """

    def compute(self) -> Tensor:
        """The value over everything."""
        return functional.pearson_corrcoef(*self.all())
