"""Metrics of classes, over many batches: counts are kept, so that no step waits for a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight._bind import namespace
from rushlight._creation import tensor, zeros
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import int64
from rushlight.lightning.metrics.functional import classification as functional, curves
from rushlight.lightning.metrics.functional._input import Counts, checked, counts
from rushlight.lightning.metrics.metric import Metric

_torch = namespace("torch")


class _Counting(Metric):
    """What all metrics of counts share.

    Args:
        task: ``binary``, ``multiclass`` or ``multilabel``; found in the first batch if absent.
        threshold: from which probability on the answer is yes.
        num_classes, num_labels: how many classes or labels there are.
        average: ``micro``, ``macro``, ``weighted`` or ``none``.
        top_k: how many of the best scores may hold the right class.
        ignore_index: a target that does not count.
    """

    higher_is_better = True

    def __init__(
        self, task: str | None = None, threshold: float = 0.5, num_classes: int | None = None,
        num_labels: int | None = None, average: str | None = "micro",
        multidim_average: str = "global", top_k: int | None = 1, ignore_index: int | None = None,
        validate_args: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        functional._known(average)
        if multidim_average != "global":
            raise ValueError("multidim_average: only 'global' is supported")
        self.task = task
        self.threshold = threshold
        self.num_classes = num_classes
        self.num_labels = num_labels
        self.average = average
        self.top_k = top_k
        self.ignore_index = ignore_index
        for name in ("tp", "fp", "tn", "fn", "right", "total"):
            self.add_state(name, tensor(0.0), "sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        if self.num_classes is None and self.average not in ("micro",) and self.task is None:
            self._need_classes(preds, target)
        found = counts(
            preds, target, self.task, self.threshold, self.num_classes, self.num_labels,
            self.top_k, self.ignore_index, self.average != "micro" or not self._totals_suffice,
        )  # fmt: skip
        self._kind = found.task
        for name in ("tp", "fp", "tn", "fn", "right", "total"):
            value = getattr(found, name)
            if self.average == "micro" and value.dim() and not self._by_class:
                value = value.sum()
            setattr(self, name, getattr(self, name) + value)

    #: Whether the numbers of right predictions and of all are enough for the ``micro`` average.
    _totals_suffice = False

    #: Whether the counts of every class are kept for the ``micro`` average, too.
    _by_class = False

    def _need_classes(self, preds: Tensor, target: Tensor) -> None:
        labels = checked(preds, target, None, None, None) == "multiclass"
        if labels and preds.dim() == target.dim():
            raise ValueError(
                f"{type(self).__name__}(average={self.average!r}) needs num_classes: class numbers "
                "alone do not say how many there are"
            )

    def found(self) -> Counts:
        """The counts of everything."""
        one = self._kind == "binary" or (self.average == "micro" and not self._by_class)
        shape = (1,) if one else (-1,)
        tp, fp, tn, fn = [x.reshape(shape) for x in (self.tp, self.fp, self.tn, self.fn)]
        return Counts(tp, fp, tn, fn, self._kind, self.right, self.total)

    _kind = "binary"

    def compute(self) -> Tensor:
        """The value over everything."""
        raise NotImplementedError


class Accuracy(_Counting):
    """How many predictions are right.

    >>> import rushlight as torch
    >>> accuracy = Accuracy(task="multiclass", num_classes=4)
    >>> accuracy(torch.tensor([0, 2, 1, 3]), torch.tensor([0, 1, 2, 3]))
    tensor(0.5000)
    """

    _totals_suffice = True

    def compute(self) -> Tensor:
        """The accuracy over everything."""
        return functional.accuracy_of(self.found(), self.average)


class Precision(_Counting):
    """How many of those predicted to be of a class are.

    >>> import rushlight as torch
    >>> Precision(task="binary")(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]))
    tensor(0.5000)
    """

    def compute(self) -> Tensor:
        """The precision over everything."""
        return functional.precision_of(self.found(), self.average)


class Recall(_Counting):
    """How many of those that are of a class are predicted so.

    >>> import rushlight as torch
    >>> Recall(task="binary")(torch.tensor([1, 0, 0]), torch.tensor([1, 1, 0]))
    tensor(0.5000)
    """

    def compute(self) -> Tensor:
        """The recall over everything."""
        return functional.recall_of(self.found(), self.average)


class Specificity(_Counting):
    """How many of those that are not of a class are predicted so.

    >>> import rushlight as torch
    >>> Specificity(task="binary")(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0]))
    tensor(0.5000)
    """

    def compute(self) -> Tensor:
        """The specificity over everything."""
        return functional.specificity_of(self.found(), self.average)


class FBetaScore(_Counting):
    """Precision and recall in one number, recall ``beta`` times as important.

    >>> import rushlight as torch
    >>> FBetaScore(task="binary", beta=2.0)(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]))
    tensor(0.8333)
    """

    def __init__(self, task: str | None = None, beta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(task, **kwargs)
        self.beta = beta

    def compute(self) -> Tensor:
        """The score over everything."""
        return functional.fbeta_of(self.found(), self.average, self.beta)


class F1Score(_Counting):
    """The harmonic mean of precision and recall.

    >>> import rushlight as torch
    >>> F1Score(task="binary")(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]))
    tensor(0.6667)
    """

    def compute(self) -> Tensor:
        """The score over everything."""
        return functional.fbeta_of(self.found(), self.average)


class JaccardIndex(_Counting):
    """Intersection over union.

    >>> import rushlight as torch
    >>> JaccardIndex(task="binary")(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]))
    tensor(0.5000)
    """

    _by_class = True

    def __init__(
        self, task: str | None = None, average: str | None = "macro", **kwargs: Any
    ) -> None:  # fmt: skip
        super().__init__(task, average=average, **kwargs)

    def compute(self) -> Tensor:
        """The index over everything."""
        return functional.jaccard_of(self.found(), self.average, self.ignore_index)


class HammingDistance(_Counting):
    """How many predictions are wrong.

    >>> import rushlight as torch
    >>> HammingDistance(task="binary")(torch.tensor([0, 1]), torch.tensor([1, 1]))
    tensor(0.5000)
    """

    higher_is_better = False
    _totals_suffice = True

    def compute(self) -> Tensor:
        """The distance over everything."""
        return 1 - functional.accuracy_of(self.found(), self.average)


class ConfusionMatrix(Metric):
    """How often samples of each class (rows) were taken for each class (columns).

    >>> import rushlight as torch
    >>> matrix = ConfusionMatrix(task="multiclass", num_classes=2)
    >>> matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
    tensor([[1, 1],
            [0, 1]])
    """

    confmat: Tensor

    def __init__(
        self, task: str | int | None = None, num_classes: int | None = None,
        num_labels: int | None = None, threshold: float = 0.5, normalize: str | None = None,
        ignore_index: int | None = None, validate_args: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if isinstance(task, int):  # ConfusionMatrix(10), as it was once called
            task, num_classes = None, task
        self.task = task
        self.num_classes = num_classes
        self.num_labels = num_labels
        self.threshold = threshold
        self.normalize = normalize
        self.ignore_index = ignore_index
        if task == "multilabel":
            shape: tuple[int, ...] = (num_labels or 0, 2, 2)
        elif task == "binary":
            shape = (2, 2)
        elif num_classes is None:
            raise ValueError("ConfusionMatrix needs num_classes")
        else:
            shape = (num_classes, num_classes)
        self.add_state("confmat", zeros(shape, dtype=int64), "sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        self.confmat = self.confmat + functional.confusion_counts(
            preds, target, self.task, self.threshold, self.num_classes, self.num_labels,
            self.ignore_index,
        )  # fmt: skip

    def compute(self) -> Tensor:
        """The matrix over everything."""
        return functional.normalized(self.confmat, self.normalize)


class CohenKappa(ConfusionMatrix):
    """How much predictions and targets agree beyond chance.

    >>> import rushlight as torch
    >>> CohenKappa(task="binary")(torch.tensor([0, 1, 0, 0]), torch.tensor([1, 1, 0, 0]))
    tensor(0.5000)
    """

    higher_is_better = True

    def __init__(
        self, task: str | int | None = None, weights: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(task, **kwargs)
        self.weights = weights

    def compute(self) -> Tensor:
        """The value over everything."""
        return functional.kappa_of(self.confmat, self.weights)


class MatthewsCorrCoef(ConfusionMatrix):
    """The correlation of predictions and targets.

    >>> import rushlight as torch
    >>> MatthewsCorrCoef(task="binary")(torch.tensor([0, 1, 0, 0]), torch.tensor([1, 1, 0, 0]))
    tensor(0.5774)
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """The value over everything."""
        return functional.matthews_of(self.confmat)


class _Curve(Metric):
    """What needs all scores at once."""

    higher_is_better = True
    function: Callable[..., Any]

    preds: list[Tensor]
    target: list[Tensor]

    def __init__(
        self, task: str | None = None, thresholds: Any = None, num_classes: int | None = None,
        num_labels: int | None = None, ignore_index: int | None = None,
        validate_args: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        own = [key for key in ("average", "max_fpr") if key in kwargs]
        options: dict[str, Any] = {key: kwargs.pop(key) for key in own}
        super().__init__(**kwargs)
        self.options: dict[str, Any] = {
            "task": task, "thresholds": thresholds, "num_classes": num_classes,
            "num_labels": num_labels, "ignore_index": ignore_index, **options,
        }  # fmt: skip
        self.add_state("preds", [], "cat")
        self.add_state("target", [], "cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Keep a batch."""
        self.preds.append(preds.detach())
        self.target.append(target.detach())

    def compute(self) -> Any:
        """The value over everything."""
        preds, target = _torch["cat"](self.preds), _torch["cat"](self.target)
        return type(self).function(preds, target, **self.options)


class AUROC(_Curve):
    """The area under the ROC curve.

    >>> import rushlight as torch
    >>> metric = AUROC(task="binary")
    >>> metric(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    tensor(0.7500)
    """

    function = staticmethod(curves.auroc)


class AveragePrecision(_Curve):
    """The mean precision over all recalls.

    >>> import rushlight as torch
    >>> metric = AveragePrecision(task="binary")
    >>> metric(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    tensor(0.8333)
    """

    function = staticmethod(curves.average_precision)


class ROC(_Curve):
    """The ROC curve.

    >>> import rushlight as torch
    >>> ROC(task="binary")(torch.tensor([0.1, 0.8]), torch.tensor([0, 1]))[1]
    tensor([0., 1., 1.])
    """

    function = staticmethod(curves.roc)


class PrecisionRecallCurve(_Curve):
    """The precision-recall curve.

    >>> import rushlight as torch
    >>> PrecisionRecallCurve(task="binary")(torch.tensor([0.1, 0.8]), torch.tensor([0, 1]))[1]
    tensor([1., 1., 0.])
    """

    function = staticmethod(curves.precision_recall_curve)


#: The old names.
F1 = F1Score
FBeta = FBetaScore
IoU = JaccardIndex


def _named(kind: type[Metric], task: str) -> type[Metric]:
    """A class of ``kind`` for one task, with the arguments in torchmetrics' order."""
    title = {"binary": "Binary", "multiclass": "Multiclass", "multilabel": "Multilabel"}[task]
    initialize: Callable[..., None] = kind.__init__
    macro = task != "binary" and issubclass(kind, _Counting)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if args and task != "binary":
            count, *rest = args
            kwargs["num_classes" if task == "multiclass" else "num_labels"] = count
            args = tuple(rest)
        if args:
            kwargs["threshold"] = args[0]
        if macro:
            kwargs.setdefault("average", "macro")
        initialize(self, task, **kwargs)

    return type(
        f"{title}{kind.__name__}",
        (kind,),
        {"__init__": __init__, "__doc__": f"``{kind.__name__}`` of the task ``{task}``.",
         "__module__": __name__},
    )  # fmt: skip


_KINDS = (
    Accuracy, Precision, Recall, Specificity, F1Score,
    FBetaScore, JaccardIndex, HammingDistance, ConfusionMatrix,
    AUROC, AveragePrecision, ROC, PrecisionRecallCurve,
)  # fmt: skip

#: ``BinaryAccuracy``, ``MulticlassAccuracy``, ``MultilabelAccuracy`` and so on.
BY_TASK: dict[str, type[Metric]] = {
    made.__name__: made
    for kind in _KINDS
    for task in ("binary", "multiclass", "multilabel")
    for made in [_named(kind, task)]
}
globals().update(BY_TASK)
