"""Predictions and targets, however they were given, as counts for every class.

Note: what kinds there are
    ``binary``: probabilities, logits or 0 and 1, of the targets' shape. ``multilabel``: the same
    with the labels in the second dimension. ``multiclass``: class numbers, or a score for every
    class in the second dimension. Where no ``task`` is given, types and shapes say which it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight._bind import namespace
from rushlight._creation import arange, ones_like
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import float32

_torch = namespace("torch")

TASKS = ("binary", "multiclass", "multilabel")


@dataclass
class Counts:
    """For every class (or label; one for binary): how often it was right and wrong.

    Attributes:
        tp, fp, tn, fn: true and false positives and negatives, as floating-point numbers.
        task: of which kind.
        right: how many predictions were right, where classes do not matter.
        total: how many predictions there were.
    """

    tp: Tensor
    fp: Tensor
    tn: Tensor
    fn: Tensor
    task: str
    right: Tensor
    total: Tensor


def checked(
    preds: Any, target: Any, task: str | None, num_classes: int | None, num_labels: int | None
) -> str:
    """The kind of predictions and targets.

    Raises:
        ValueError: they do not fit together.
    """
    if task is not None:
        if task not in TASKS:
            raise ValueError(
                f"Invalid Classification: expected one of {list(TASKS)}, but got {task}."
            )
        if task == "multiclass" and not isinstance(num_classes, int):
            raise ValueError(
                f"Optional arg `num_classes` must be type `int` when task is {task}. Got "
                f"{type(num_classes)}"
            )
        if task == "multilabel" and not isinstance(num_labels, int):
            raise ValueError(
                f"Optional arg `num_labels` must be type `int` when task is {task}. Got "
                f"{type(num_labels)}"
            )
    scores = preds.dim() == target.dim() + 1
    if not scores and tuple(preds.shape) != tuple(target.shape):
        raise ValueError(
            "The `preds` and `target` should have the same shape, got `preds` with shape="
            f"{tuple(preds.shape)} and `target` with shape={tuple(target.shape)}."
        )
    if scores and num_classes is not None and preds.shape[1] != num_classes:
        raise ValueError(
            "If `preds` have one dimension more than `target`, `preds.shape[1]` should be equal to "
            "number of classes."
        )
    if target.is_floating_point():
        raise ValueError("Expected argument `target` to be an int or long tensor with labels")
    if task is not None:
        return task
    if scores:
        return "multiclass"
    if preds.is_floating_point():
        return "multilabel" if preds.dim() > 1 else "binary"
    return "multiclass"


def probabilities(scores: Tensor) -> Tensor:
    """Scores as probabilities: logits go through the sigmoid, as torchmetrics does it."""
    if not scores.is_floating_point():
        return scores.to(float32)
    outside = ((scores < 0) | (scores > 1)).any()
    return _torch["where"](outside, scores.sigmoid(), scores)


def classes_seen(preds: Tensor, target: Tensor) -> int:
    """One more than the greatest class number, for calls that do not say how many there are."""
    return int(_torch["maximum"](preds.max(), target.max()).item()) + 1


def counts(
    preds: Tensor, target: Tensor, task: str | None = None, threshold: float = 0.5,
    num_classes: int | None = None, num_labels: int | None = None, top_k: int | None = 1,
    ignore_index: int | None = None, by_class: bool = True,
) -> Counts:  # fmt: skip
    """Count, by class, how often predictions were right.

    Args:
        preds: class numbers or scores.
        target: class numbers.
        by_class: whether anybody asks for more than the total.
    """
    kind = checked(preds, target, task, num_classes, num_labels)
    if kind == "multiclass":
        return _multiclass(preds, target, num_classes, top_k or 1, ignore_index, by_class)
    guess = preds
    if preds.is_floating_point():
        guess = probabilities(preds) > threshold if task else preds >= threshold
    guess, truth = guess.to(float32), target.to(float32)
    kept = None if ignore_index is None else (target != ignore_index).to(float32)
    if kept is not None:
        guess, truth = guess * kept, truth * kept
    labels = kind == "multilabel"
    sides = [n for n in range(guess.dim()) if n != 1] if labels else list(range(guess.dim()))
    ones = ones_like(guess) if kept is None else kept

    def total(x: Tensor) -> Tensor:
        found = x.sum(sides)
        return found if labels else found.reshape(1)

    tp = total(guess * truth)
    fp = total(guess) - tp
    fn = total(truth) - tp
    every = total(ones)
    tn = every - tp - fp - fn
    return Counts(tp, fp, tn, fn, kind, (tp + tn).sum(), every.sum())


def _multiclass(
    preds: Tensor, target: Tensor, num_classes: int | None, top_k: int,
    ignore_index: int | None, by_class: bool,
) -> Counts:  # fmt: skip
    found = preds.dim() == target.dim() + 1
    if found and num_classes is None:
        num_classes = int(preds.shape[1])
    truth = target.reshape(-1)
    if found and top_k > 1:
        best = preds.movedim(1, -1).reshape(-1, preds.shape[1]).topk(top_k, dim=-1)[1]
        hit = (best == truth.reshape(-1, 1)).any(-1)
        # a sample counts as its own class if that is among the best, else as the best one
        guess = _torch["where"](hit, truth, best[:, 0])
    else:
        guess = (preds.argmax(1) if found else preds).reshape(-1)
    kept = None if ignore_index is None else truth != ignore_index
    hits = guess == truth if kept is None else (guess == truth) & kept
    right = hits.to(float32).sum()
    ones = ones_like(truth) if kept is None else kept
    total = ones.to(float32).sum()
    if not by_class:
        return Counts(right, total - right, total, total - right, "multiclass", right, total)
    if num_classes is None:
        num_classes = classes_seen(guess, truth)
    numbers = arange(num_classes)
    guessed = (guess.reshape(-1, 1) == numbers).to(float32)
    wanted = (truth.reshape(-1, 1) == numbers).to(float32)
    if kept is not None:
        weight = kept.to(float32).reshape(-1, 1)
        guessed, wanted = guessed * weight, wanted * weight
    tp = (guessed * wanted).sum(0)
    fp, fn = guessed.sum(0) - tp, wanted.sum(0) - tp
    return Counts(tp, fp, total - tp - fp - fn, fn, "multiclass", right, total)
