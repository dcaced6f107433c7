"""How far predictions of numbers are off."""

from __future__ import annotations

from rushlight._bind import namespace
from rushlight._tensor import Tensor

_torch = namespace("torch")

_TINY = 1.17e-06


def same_shape(preds: Tensor, target: Tensor) -> None:
    """Refuse predictions of another shape than the targets."""
    if tuple(preds.shape) != tuple(target.shape):
        raise RuntimeError(
            "Predictions and targets are expected to have the same shape, but got "
            f"{preds.shape} and {target.shape}."
        )


def mean_squared_error(
    preds: Tensor, target: Tensor, squared: bool = True, num_outputs: int = 1
) -> Tensor:
    """The mean of the squared errors, or its root with ``squared=False``.

    >>> import rushlight as torch
    >>> mean_squared_error(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 2.0]))
    tensor(0.5000)
    """
    same_shape(preds, target)
    apart = preds - target
    found = (apart * apart).mean() if num_outputs == 1 else (apart * apart).mean(0)
    return found if squared else found.sqrt()


def mean_absolute_error(preds: Tensor, target: Tensor) -> Tensor:
    """The mean of the absolute errors.

    >>> import rushlight as torch
    >>> mean_absolute_error(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 2.0]))
    tensor(0.5000)
    """
    same_shape(preds, target)
    return (preds - target).abs().mean()


def mean_squared_log_error(preds: Tensor, target: Tensor) -> Tensor:
    """The mean of the squared errors of the logarithms of one more.

    >>> import rushlight as torch
    >>> mean_squared_log_error(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
    tensor(0.)
    """
    same_shape(preds, target)
    apart = preds.log1p() - target.log1p()
    return (apart * apart).mean()


def mean_absolute_percentage_error(preds: Tensor, target: Tensor) -> Tensor:
    """The mean of the absolute errors as parts of the targets.

    >>> import rushlight as torch
    >>> mean_absolute_percentage_error(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 4.0]))
    tensor(0.3750)
    """
    same_shape(preds, target)
    return ((preds - target).abs() / target.abs().clamp(min=_TINY)).mean()


def r2_from(count: Tensor, total: Tensor, squares: Tensor, errors: Tensor) -> Tensor:
    """The coefficient of determination from sums over the targets and the squared errors."""
    spread = squares - total * total / count
    return (1 - errors / spread).mean()


def r2_score(preds: Tensor, target: Tensor) -> Tensor:
    """The coefficient of determination: which part of the targets' variance is explained.

    >>> import rushlight as torch
    >>> r2_score(torch.tensor([2.5, 0.0, 2.0, 8.0]), torch.tensor([3.0, -0.5, 2.0, 7.0]))
    tensor(0.9486)
    """
    same_shape(preds, target)
    errors = ((target - preds) ** 2).sum(0)
    mean = target.mean(0)
    return (1 - errors / ((target - mean) ** 2).sum(0)).mean()


def explained_variance(preds: Tensor, target: Tensor) -> Tensor:
    """Which part of the targets' variance is explained, a constant error left out.

    >>> import rushlight as torch
    >>> explained_variance(torch.tensor([2.5, 0.0, 2.0, 8.0]), torch.tensor([3.0, -0.5, 2.0, 7.0]))
    tensor(0.9572)
    """
    same_shape(preds, target)
    errors = target - preds
    over = ((errors - errors.mean(0)) ** 2).mean(0)
    under = ((target - target.mean(0)) ** 2).mean(0)
    return (1 - over / under).mean()


def pearson_corrcoef(preds: Tensor, target: Tensor) -> Tensor:
    """Pearson's correlation.

    >>> import rushlight as torch
    >>> pearson_corrcoef(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 6.0]))
    tensor(1.)
    """
    same_shape(preds, target)
    x, y = preds - preds.mean(0), target - target.mean(0)
    return (x * y).sum(0) / ((x * x).sum(0) * (y * y).sum(0)).sqrt()


#: The old names.
r2score = r2_score
