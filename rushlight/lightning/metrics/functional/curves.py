"""Over all thresholds: ROC and precision-recall curves and the areas under them."""

from __future__ import annotations

from typing import Any

from rushlight._bind import namespace
from rushlight._creation import arange, tensor, zeros
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import float32, int64
from rushlight.lightning.metrics.functional._input import probabilities
from rushlight.lightning.metrics.functional.classification import divided

_torch = namespace("torch")


def _steps(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """False and true positives, and the threshold, at every distinct score from the top."""
    ordered, order = scores.reshape(-1).sort(descending=True, stable=True)
    hits = truth.reshape(-1)[order].to(float32)
    last = tensor([ordered.numel() - 1])
    changes = (ordered[1:] != ordered[:-1]).nonzero().reshape(-1)
    places = _torch["cat"]([changes, last])
    tp = hits.cumsum(0)[places]
    return 1.0 + places.to(float32) - tp, tp, ordered[places]


def roc_of(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The ROC curve of scores for one class."""
    fp, tp, thresholds = _steps(scores, truth)
    zero = zeros(1)
    fp, tp = _torch["cat"]([zero, fp]), _torch["cat"]([zero, tp])
    thresholds = _torch["cat"]([thresholds[:1] * 0 + 1.0, thresholds])
    return divided(fp, fp[-1:].expand(fp.shape)), divided(tp, tp[-1:].expand(tp.shape)), thresholds


def precision_recall_of(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The precision-recall curve of scores for one class, from the lowest threshold up."""
    fp, tp, thresholds = _steps(scores, truth)
    precision = divided(tp, tp + fp)
    recall = divided(tp, tp[-1:].expand(tp.shape))
    one, zero = zeros(1) + 1.0, zeros(1)
    return (
        _torch["cat"]([precision.flip(0), one]),
        _torch["cat"]([recall.flip(0), zero]),
        thresholds.flip(0),
    )


def area(x: Tensor, y: Tensor) -> Tensor:
    """The area under a curve, by trapezoids."""
    return ((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum()


def by_class(preds: Tensor, target: Tensor, task: str) -> list[tuple[Tensor, Tensor]]:
    """Scores and truth for one class after the other."""
    if task == "binary":
        return [(probabilities(preds.reshape(-1)), target.reshape(-1))]
    count = int(preds.shape[1])
    scores = preds.movedim(1, -1).reshape(-1, count)
    if task == "multilabel":
        truth = target.movedim(1, -1).reshape(-1, count)
        scores = probabilities(scores)
        return [(scores[:, i], truth[:, i]) for i in range(count)]
    outside = ((scores < 0) | (scores > 1)).any()
    scores = _torch["where"](outside, scores.softmax(-1), scores)
    truth = (target.reshape(-1, 1) == arange(count)).to(int64)
    return [(scores[:, i], truth[:, i]) for i in range(count)]


def task_of(preds: Tensor, target: Tensor, task: str | None) -> str:
    """``binary``, ``multiclass`` or ``multilabel``."""
    if task is not None:
        return task
    if preds.dim() == target.dim() + 1:
        return "multiclass"
    return "multilabel" if preds.dim() > 1 else "binary"


def kept(preds: Tensor, target: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor]:
    """Without the samples that do not count."""
    if ignore_index is None:
        return preds, target
    if preds.dim() == target.dim() + 1:
        preds = preds.movedim(1, -1).reshape(-1, preds.shape[1])
    else:
        preds = preds.reshape(-1)
    target = target.reshape(-1)
    places = (target != ignore_index).nonzero().reshape(-1)
    return preds[places], target[places]


def mean_of(scores: list[Tensor], weights: list[Tensor], average: str | None, task: str) -> Tensor:
    """One number from those of the classes."""
    if task == "binary":
        return scores[0]
    every = _torch["stack"](scores)
    if average in (None, "none"):
        return every
    counts = _torch["stack"](weights)
    if average == "weighted":
        return (every * counts).sum() / counts.sum()
    return every.mean()


def auroc(
    preds: Tensor, target: Tensor, task: str | None = None, thresholds: Any = None,
    num_classes: int | None = None, num_labels: int | None = None, average: str | None = "macro",
    max_fpr: float | None = None, ignore_index: int | None = None, validate_args: bool = True,
    pos_label: int | None = None,
) -> Tensor:  # fmt: skip
    """The area under the ROC curve: how surely a positive gets a higher score than a negative.

    Args:
        preds: probabilities or logits, with the classes in the second dimension where there are
            several.
        target: 0 and 1, or class numbers.
        task: ``binary``, ``multiclass`` or ``multilabel``; found from the shapes if absent.
        average: ``macro``, ``weighted`` or ``none`` over the classes, ``micro`` for labels.

    See https://lightning.ai/docs/torchmetrics/stable/classification/auroc.html.

    >>> import rushlight as torch
    >>> auroc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    tensor(0.7500)
    """
    _exact(thresholds, max_fpr)
    preds, target = kept(preds, target, ignore_index)
    found = task_of(preds, target, task)
    if average == "micro" and found == "multilabel":
        found = "binary"
    scores, weights = [], []
    for each, truth in by_class(preds, target, found):
        x, y, _ = roc_of(each, truth)
        scores.append(area(x, y))
        weights.append(truth.to(float32).sum())
    return mean_of(scores, weights, average, found)


def _exact(thresholds: Any, max_fpr: float | None) -> None:
    if thresholds is not None or max_fpr is not None:
        raise ValueError(
            "thresholds and max_fpr are not supported: curves are exact, over all scores; leave "
            "both away"
        )


def _of_classes(curves: list[tuple[Tensor, Tensor, Tensor]], task: str) -> Any:
    if task == "binary":
        return curves[0]
    return tuple([list(parts) for parts in zip(*curves, strict=True)])


def roc(
    preds: Tensor, target: Tensor, task: str | None = None, thresholds: Any = None,
    num_classes: int | None = None, num_labels: int | None = None,
    ignore_index: int | None = None, validate_args: bool = True,
) -> Any:  # fmt: skip
    """False-positive rate, true-positive rate and threshold; lists of them for several classes.

    >>> import rushlight as torch
    >>> x, y, thresholds = roc(torch.tensor([0.1, 0.4, 0.8]), torch.tensor([0, 1, 1]))
    >>> y
    tensor([0.0000, 0.5000, 1.0000, 1.0000])
    """
    _exact(thresholds, None)
    preds, target = kept(preds, target, ignore_index)
    found = task_of(preds, target, task)
    return _of_classes([roc_of(*pair) for pair in by_class(preds, target, found)], found)


def precision_recall_curve(
    preds: Tensor, target: Tensor, task: str | None = None, thresholds: Any = None,
    num_classes: int | None = None, num_labels: int | None = None,
    ignore_index: int | None = None, validate_args: bool = True,
) -> Any:  # fmt: skip
    """Precision, recall and threshold; lists of them for several classes.

    >>> import rushlight as torch
    >>> scores = torch.tensor([0.1, 0.4, 0.8])
    >>> precision_recall_curve(scores, torch.tensor([0, 1, 1]))[0]
    tensor([0.6667, 1.0000, 1.0000, 1.0000])
    """
    _exact(thresholds, None)
    preds, target = kept(preds, target, ignore_index)
    found = task_of(preds, target, task)
    pairs = by_class(preds, target, found)
    return _of_classes([precision_recall_of(*pair) for pair in pairs], found)


def average_precision(
    preds: Tensor, target: Tensor, task: str | None = None, thresholds: Any = None,
    num_classes: int | None = None, num_labels: int | None = None, average: str | None = "macro",
    ignore_index: int | None = None, validate_args: bool = True,
) -> Tensor:  # fmt: skip
    """The mean precision over all recalls; arguments as of ``auroc``.

    >>> import rushlight as torch
    >>> average_precision(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    tensor(0.8333)
    """
    _exact(thresholds, None)
    preds, target = kept(preds, target, ignore_index)
    found = task_of(preds, target, task)
    if average == "micro" and found == "multilabel":
        found = "binary"
    scores, weights = [], []
    for each, truth in by_class(preds, target, found):
        precision, recall, _ = precision_recall_of(each, truth)
        scores.append(-((recall[1:] - recall[:-1]) * precision[:-1]).sum())
        weights.append(truth.to(float32).sum())
    return mean_of(scores, weights, average, found)


def auc(x: Tensor, y: Tensor, reorder: bool = False) -> Tensor:
    """The area under any curve.

    >>> import rushlight as torch
    >>> auc(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 1.0, 1.0]))
    tensor(1.5000)
    """
    if reorder:
        x, order = x.sort(stable=True)
        y = y[order]
    steps = x[1:] - x[:-1]
    if bool((steps < 0).any()):
        if bool((steps > 0).any()):
            raise ValueError(
                "The `x` tensor is neither increasing or decreasing. Try setting the reorder "
                "argument to `True`."
            )
        return -area(x, y)
    return area(x, y)
