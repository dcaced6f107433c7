"""How often predictions are right: accuracy, precision, recall and what is made of them."""

from __future__ import annotations

from typing import Any

from rushlight._bind import namespace
from rushlight._creation import arange
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import float32, int64
from rushlight.lightning.metrics.functional._input import (
    Counts,
    checked,
    classes_seen,
    counts,
    probabilities,
)

_torch = namespace("torch")

_AVERAGES = ("micro", "macro", "weighted", "none", None)


def divided(a: Tensor, b: Tensor) -> Tensor:
    """``a / b``, and 0 where ``b`` is 0."""
    return _torch["where"](b == 0, b * 0.0, a / _torch["where"](b == 0, b * 0.0 + 1.0, b))


def averaged(score: Tensor, found: Counts, average: str | None) -> Tensor:
    """One number of many: by class, or their mean in one of its kinds.

    Classes that never came, neither predicted nor true, are left out of the mean.
    """
    if found.task == "binary":
        return score.reshape(())
    if average in (None, "none"):
        return score
    if average == "weighted":
        weights = found.tp + found.fn
    else:
        weights = ((found.tp + found.fp + found.fn) != 0).to(float32)
        if found.task == "multilabel":
            weights = weights * 0.0 + 1.0
    return divided((score * weights).sum(), weights.sum())


def _known(average: str | None) -> None:
    if average not in _AVERAGES:
        raise ValueError(f"Expected argument `average` to be one of {_AVERAGES}, but got {average}")


def summed(found: Counts, average: str | None) -> Counts:
    """The counts of all classes together, for the ``micro`` average."""
    if average != "micro" or found.task == "binary":
        return found
    tp, fp, tn, fn = [x.sum().reshape(1) for x in (found.tp, found.fp, found.tn, found.fn)]
    return Counts(tp, fp, tn, fn, "binary", found.right, found.total)


def accuracy_of(found: Counts, average: str | None) -> Tensor:
    """The accuracy from counts."""
    if found.task == "multiclass":
        if average == "micro":
            return divided(found.right, found.total)
        return averaged(divided(found.tp, found.tp + found.fn), found, average)
    if found.task == "binary" or average == "micro":
        return divided(found.right, found.total)
    every = found.tp + found.tn + found.fp + found.fn
    return averaged(divided(found.tp + found.tn, every), found, average)


def precision_of(found: Counts, average: str | None) -> Tensor:
    """The precision from counts."""
    found = summed(found, average)
    return averaged(divided(found.tp, found.tp + found.fp), found, average)


def recall_of(found: Counts, average: str | None) -> Tensor:
    """The recall from counts."""
    found = summed(found, average)
    return averaged(divided(found.tp, found.tp + found.fn), found, average)


def specificity_of(found: Counts, average: str | None) -> Tensor:
    """The specificity from counts."""
    found = summed(found, average)
    return averaged(divided(found.tn, found.tn + found.fp), found, average)


def fbeta_of(found: Counts, average: str | None, beta: float = 1.0) -> Tensor:
    """The F score from counts."""
    found = summed(found, average)
    square = beta * beta
    right = (1 + square) * found.tp
    return averaged(divided(right, right + square * found.fn + found.fp), found, average)


def jaccard_of(found: Counts, average: str | None, ignore_index: int | None = None) -> Tensor:
    """Intersection over union from counts; the class that does not count is no class."""
    if found.task == "multiclass" and ignore_index is not None and ignore_index >= 0:
        kept = (arange(found.tp.numel()) != ignore_index).to(float32)
        tp, fp, tn, fn = [x * kept for x in (found.tp, found.fp, found.tn, found.fn)]
        found = Counts(tp, fp, tn, fn, found.task, found.right, found.total)
    found = summed(found, average)
    return averaged(divided(found.tp, found.tp + found.fp + found.fn), found, average)


def _counted(preds: Any, target: Any, given: dict[str, Any], by_class: bool = True) -> Counts:
    _known(given["average"])
    if given.pop("class_reduction", None):
        raise ValueError("class_reduction is now called average")
    return counts(
        preds, target, given["task"], given["threshold"], given["num_classes"],
        given["num_labels"], given["top_k"], given["ignore_index"], by_class,
    )  # fmt: skip


def accuracy(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None, average: str | None = "micro",
    top_k: int | None = 1, ignore_index: int | None = None, validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """How many of the predictions are right.

    Args:
        preds: class numbers, or scores with the classes in the second dimension; for ``binary``
            and ``multilabel`` probabilities, logits or 0 and 1.
        target: class numbers.
        task: ``binary``, ``multiclass`` or ``multilabel``; found from types and shapes if absent.
        threshold: from which probability on the answer is yes.
        average: ``micro`` counts samples; ``macro``, ``weighted`` and ``none`` go by class.
        top_k: how many of the best scores may hold the right class.
        ignore_index: a target that does not count.

    Returns:
        a tensor of one number; one for every class with ``average="none"``.

    See https://lightning.ai/docs/torchmetrics/stable/classification/accuracy.html.

    >>> import rushlight as torch
    >>> accuracy(torch.tensor([0, 2, 1, 3]), torch.tensor([0, 1, 2, 3]))
    tensor(0.5000)
    """
    given = dict(locals())
    return accuracy_of(_counted(preds, target, given, by_class=average != "micro"), average)


def precision(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None, average: str | None = "micro",
    top_k: int | None = 1, ignore_index: int | None = None, validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """How many of those predicted to be of a class are; arguments as of ``accuracy``.

    >>> import rushlight as torch
    >>> precision(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]), task="binary")
    tensor(0.5000)
    """
    return precision_of(_counted(preds, target, dict(locals())), average)


def recall(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None, average: str | None = "micro",
    top_k: int | None = 1, ignore_index: int | None = None, validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """How many of those that are of a class are predicted so; arguments as of ``accuracy``.

    >>> import rushlight as torch
    >>> recall(torch.tensor([1, 0, 0]), torch.tensor([1, 1, 0]), task="binary")
    tensor(0.5000)
    """
    return recall_of(_counted(preds, target, dict(locals())), average)


def specificity(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None, average: str | None = "micro",
    top_k: int | None = 1, ignore_index: int | None = None, validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """How many of those that are not of a class are predicted so; arguments as of ``accuracy``.

    >>> import rushlight as torch
    >>> specificity(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0]), task="binary")
    tensor(0.5000)
    """
    return specificity_of(_counted(preds, target, dict(locals())), average)


def precision_recall(preds: Tensor, target: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """``precision`` and ``recall``.

    >>> import rushlight as torch
    >>> precision_recall(torch.tensor([1, 1]), torch.tensor([1, 0]), task="binary")
    (tensor(0.5000), tensor(1.))
    """
    return precision(preds, target, **options), recall(preds, target, **options)


def fbeta_score(
    preds: Tensor, target: Tensor, task: str | None = None, beta: float = 1.0,
    threshold: float = 0.5, num_classes: int | None = None, num_labels: int | None = None,
    average: str | None = "micro", top_k: int | None = 1, ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """Precision and recall in one number, recall ``beta`` times as important.

    >>> import rushlight as torch
    >>> fbeta_score(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]), task="binary", beta=2.0)
    tensor(0.8333)
    """
    return fbeta_of(_counted(preds, target, dict(locals())), average, beta)


def f1_score(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None, average: str | None = "micro",
    top_k: int | None = 1, ignore_index: int | None = None, validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """The harmonic mean of precision and recall; arguments as of ``accuracy``.

    >>> import rushlight as torch
    >>> f1_score(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]), task="binary")
    tensor(0.6667)
    """
    return fbeta_of(_counted(preds, target, dict(locals())), average)


def jaccard_index(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None, average: str | None = "macro",
    ignore_index: int | None = None, validate_args: bool = True, top_k: int | None = 1,
) -> Tensor:  # fmt: skip
    """Intersection over union; arguments as of ``accuracy``.

    >>> import rushlight as torch
    >>> jaccard_index(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]), task="binary")
    tensor(0.5000)
    """
    return jaccard_of(_counted(preds, target, dict(locals())), average, ignore_index)


def stat_scores(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None, average: str | None = "micro",
    top_k: int | None = 1, ignore_index: int | None = None, validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """True and false positives, true and false negatives, and how many are of the class.

    >>> import rushlight as torch
    >>> stat_scores(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]), task="binary")
    tensor([1, 1, 1, 0, 1])
    """
    found = summed(_counted(preds, target, dict(locals())), average)
    parts = [found.tp, found.fp, found.tn, found.fn, found.tp + found.fn]
    scores = _torch["stack"](parts, dim=-1)
    if average in ("macro", "weighted") and found.task != "binary":
        weights = (found.tp + found.fn).reshape(-1, 1)
        if average == "macro":
            return scores.mean(0)
        return (scores * divided(weights, weights.sum())).sum(0)
    return scores[0].to(int64) if found.task == "binary" else scores.to(int64)


def confusion_counts(
    preds: Tensor, target: Tensor, task: str | None, threshold: float, num_classes: int | None,
    num_labels: int | None, ignore_index: int | None,
) -> Tensor:  # fmt: skip
    """How often each class was taken for each other one, as whole numbers."""
    kind = checked(preds, target, task, num_classes, num_labels)
    if kind == "multilabel":
        found = counts(preds, target, "multilabel", threshold, None, int(preds.shape[1]),
                       ignore_index=ignore_index)  # fmt: skip
        parts = [found.tn, found.fp, found.fn, found.tp]
        return _torch["stack"](parts, dim=-1).reshape(-1, 2, 2).to(int64)
    if kind == "binary":
        if preds.is_floating_point():
            preds = (probabilities(preds) > threshold).to(int64)
        num_classes = 2
    elif preds.dim() == target.dim() + 1:
        num_classes = num_classes or int(preds.shape[1])
        preds = preds.argmax(1)
    guess, truth = preds.reshape(-1).to(int64), target.reshape(-1).to(int64)
    if num_classes is None:
        num_classes = classes_seen(guess, truth)
    numbers = arange(num_classes)
    rows = (truth.reshape(-1, 1) == numbers).to(float32)
    columns = (guess.reshape(-1, 1) == numbers).to(float32)
    if ignore_index is not None:
        rows = rows * (truth != ignore_index).to(float32).reshape(-1, 1)
    return rows.t().matmul(columns).to(int64)


def normalized(matrix: Tensor, normalize: str | None) -> Tensor:
    """A confusion matrix as parts of the true or predicted class, or of all."""
    if normalize in (None, "none"):
        return matrix
    if normalize not in ("true", "pred", "all"):
        raise ValueError(
            "Expected argument `normalize` to be one of ('true', 'pred', 'all', 'none', None), "
            f"but got {normalize}"
        )
    found = matrix.to(float32)
    if normalize == "true":
        return divided(found, found.sum(-1, keepdim=True) + found * 0.0)
    if normalize == "pred":
        return divided(found, found.sum(-2, keepdim=True) + found * 0.0)
    return divided(found, found.sum((-2, -1), keepdim=True) + found * 0.0)


def confusion_matrix(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None,
    normalize: str | None = None, ignore_index: int | None = None, validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """How often samples of each class (rows) were taken for each class (columns).

    >>> import rushlight as torch
    >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), num_classes=2)
    tensor([[1, 1],
            [0, 1]])
    """
    matrix = confusion_counts(preds, target, task, threshold, num_classes, num_labels, ignore_index)
    return normalized(matrix, normalize)


def kappa_of(matrix: Tensor, weights: str | None = None) -> Tensor:
    """Cohen's kappa from a confusion matrix."""
    found = matrix.to(float32)
    count = found.shape[0]
    expected = found.sum(1, keepdim=True) * found.sum(0, keepdim=True) / found.sum()
    numbers = arange(count).to(float32)
    apart = numbers.reshape(-1, 1) - numbers.reshape(1, -1)
    if weights in (None, "none"):
        cost = (apart != 0).to(float32)
    else:
        cost = apart.abs() if weights == "linear" else apart * apart
    return 1 - (cost * found).sum() / (cost * expected).sum()


def cohen_kappa(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, weights: str | None = None, ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """How much predictions and targets agree beyond chance.

    >>> import rushlight as torch
    >>> cohen_kappa(torch.tensor([0, 1, 0, 0]), torch.tensor([1, 1, 0, 0]), task="binary")
    tensor(0.5000)
    """
    matrix = confusion_counts(preds, target, task, threshold, num_classes, None, ignore_index)
    return kappa_of(matrix, weights)


def matthews_of(matrix: Tensor) -> Tensor:
    """Matthews' correlation from a confusion matrix."""
    found = matrix.to(float32)
    true, guessed = found.sum(1), found.sum(0)
    right, total = found.diagonal().sum(), found.sum()
    over = right * total - (true * guessed).sum()
    under = (total * total - (guessed * guessed).sum()) * (total * total - (true * true).sum())
    return divided(over, under.sqrt())


def matthews_corrcoef(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None,
    ignore_index: int | None = None, validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """The correlation of predictions and targets.

    >>> import rushlight as torch
    >>> matthews_corrcoef(torch.tensor([0, 1, 0, 0]), torch.tensor([1, 1, 0, 0]), task="binary")
    tensor(0.5774)
    """
    matrix = confusion_counts(preds, target, task, threshold, num_classes, num_labels, ignore_index)
    return matthews_of(matrix)


def hamming_distance(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None, average: str | None = "micro",
    top_k: int | None = 1, ignore_index: int | None = None, validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """How many of the predictions are wrong; arguments as of ``accuracy``.

    >>> import rushlight as torch
    >>> hamming_distance(torch.tensor([0, 1]), torch.tensor([1, 1]), task="binary")
    tensor(0.5000)
    """
    given = dict(locals())
    return 1 - accuracy_of(_counted(preds, target, given), average)


def dice_score(preds: Tensor, target: Tensor, **options: Any) -> Tensor:
    """The old name of the F1 score over classes.

    >>> import rushlight as torch
    >>> dice_score(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]), task="binary")
    tensor(0.6667)
    """
    return f1_score(preds, target, **options)


#: The old name.
f1 = f1_score
fbeta = fbeta_score
iou = jaccard_index
