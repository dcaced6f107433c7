"""Metrics against plain counting in NumPy, batch by batch and all at once."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as torch
import rushlight.lightning.metrics as metrics
import rushlight.lightning.metrics.functional as functional

CLASSES, SAMPLES = 4, 60


@pytest.fixture(name="labels")
def _labels() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, SAMPLES)
    guess = np.where(rng.random(SAMPLES) < 0.6, truth, rng.integers(0, CLASSES, SAMPLES))
    return guess, truth


def by_class(guess: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Counts and rates of each class."""
    tp, fp, fn, tn = (
        np.array([f(c) for c in range(CLASSES)], float)
        for f in (
            lambda c: np.sum((guess == c) & (truth == c)),
            lambda c: np.sum((guess == c) & (truth != c)),
            lambda c: np.sum((guess != c) & (truth == c)),
            lambda c: np.sum((guess != c) & (truth != c)),
        )
    )
    return {
        "precision": tp / (tp + fp), "recall": tp / (tp + fn), "specificity": tn / (tn + fp),
        "f1_score": 2 * tp / (2 * tp + fp + fn), "accuracy": tp / (tp + fn),
        "jaccard_index": tp / (tp + fp + fn), "support": tp + fn,
    }  # fmt: skip


NAMES = {
    "accuracy": "Accuracy", "precision": "Precision", "recall": "Recall",
    "specificity": "Specificity", "f1_score": "F1Score", "jaccard_index": "JaccardIndex",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("average", ["macro", "weighted", "none"])
def test_by_class(labels, name: str, average: str) -> None:
    guess, truth = labels
    found = by_class(guess, truth)
    expected = found[name]
    if average == "macro":
        expected = expected.mean()
    elif average == "weighted":
        expected = (expected * found["support"]).sum() / SAMPLES
    options = {"task": "multiclass", "num_classes": CLASSES, "average": average}
    preds, target = torch.tensor(guess), torch.tensor(truth)
    np.testing.assert_allclose(
        getattr(functional, name)(preds, target, **options).numpy(), expected, rtol=1e-6
    )
    metric = getattr(metrics, NAMES[name])(**options)
    for batch in range(0, SAMPLES, 16):
        metric.update(preds[batch : batch + 16], target[batch : batch + 16])
    np.testing.assert_allclose(metric.compute().numpy(), expected, rtol=1e-6)
    metric.reset()
    assert not metric.update_called


def test_micro_is_the_accuracy(labels) -> None:
    preds, target = map(torch.tensor, labels)
    expected = (labels[0] == labels[1]).mean()
    for name in ("accuracy", "precision", "recall", "f1_score"):
        options = {"task": "multiclass", "num_classes": CLASSES, "average": "micro"}
        assert getattr(functional, name)(preds, target, **options).item() == pytest.approx(expected)
    assert functional.accuracy(preds, target).item() == pytest.approx(expected)  # as in 1.x
    assert metrics.Accuracy()(preds, target).item() == pytest.approx(expected)
    assert metrics.MulticlassAccuracy(CLASSES)(preds, target).item() == pytest.approx(
        by_class(*labels)["recall"].mean()
    )


def test_scores_top_k_and_ignored() -> None:
    scores = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    target = torch.tensor([2, 0, 0])
    assert functional.accuracy(scores, target).item() == pytest.approx(1 / 3)
    options = {"task": "multiclass", "num_classes": 3}
    assert functional.accuracy(scores, target, top_k=2, **options).item() == pytest.approx(2 / 3)
    assert functional.accuracy(scores, target, ignore_index=2, **options).item() == 0.5
    with pytest.raises(ValueError, match="same shape"):
        functional.accuracy(torch.tensor([1, 2]), torch.tensor([1]))
    with pytest.raises(ValueError, match="expected one of"):
        functional.accuracy(target, target, task="many")
    with pytest.raises(ValueError, match="num_classes"):
        functional.accuracy(target, target, task="multiclass")
    with pytest.raises(ValueError, match="equal to number of classes"):
        functional.accuracy(scores, target, task="multiclass", num_classes=5)


def test_binary_and_multilabel() -> None:
    scores = torch.tensor([0.2, 0.7, 0.6, 0.4])
    target = torch.tensor([0, 1, 0, 1])
    for given in (scores, scores.logit()):  # probabilities or logits
        assert functional.precision(given, target, task="binary").item() == 0.5
        assert functional.recall(given, target, task="binary").item() == 0.5
    assert functional.recall(scores, target, task="binary", threshold=0.3).item() == 1
    assert functional.stat_scores(scores, target, task="binary").tolist() == [1, 1, 1, 1, 2]
    two = torch.stack([scores, 1 - scores], 1), torch.stack([target, target], 1)
    found = functional.accuracy(*two, task="multilabel", num_labels=2, average="none")
    assert found.tolist() == [0.5, 0.5]
    metric = metrics.MultilabelAccuracy(2)
    assert metric(*two).item() == 0.5


def test_confusion(labels) -> None:
    expected = np.zeros((CLASSES, CLASSES), int)
    for guess, truth in zip(*labels, strict=True):
        expected[truth, guess] += 1
    preds, target = map(torch.tensor, labels)
    options = {"task": "multiclass", "num_classes": CLASSES}
    assert functional.confusion_matrix(preds, target, **options).tolist() == expected.tolist()
    parts = functional.confusion_matrix(preds, target, normalize="true", **options)
    np.testing.assert_allclose(parts.numpy(), expected / expected.sum(1, keepdims=True), rtol=1e-6)
    metric = metrics.ConfusionMatrix(CLASSES)
    metric.update(preds[:30], target[:30])
    metric.update(preds[30:], target[30:])
    assert metric.compute().tolist() == expected.tolist()
    agreed, chance = np.trace(expected) / SAMPLES, (expected.sum(0) @ expected.sum(1)) / SAMPLES**2
    kappa = functional.cohen_kappa(preds, target, **options)
    assert kappa.item() == pytest.approx((agreed - chance) / (1 - chance), rel=1e-5)


def test_areas() -> None:
    rng = np.random.default_rng(1)
    scores = np.round(rng.random(50), 1).astype("float32")  # with ties
    truth = rng.integers(0, 2, 50)
    positive, negative = scores[truth == 1], scores[truth == 0]
    pairs = positive[:, None] - negative[None, :]
    expected = (np.sum(pairs > 0) + 0.5 * np.sum(pairs == 0)) / pairs.size
    preds, target = torch.tensor(scores), torch.tensor(truth)
    assert functional.auroc(preds, target, task="binary").item() == pytest.approx(expected)
    metric = metrics.AUROC(task="binary")
    metric.update(preds[:20], target[:20])
    metric.update(preds[20:], target[20:])
    assert metric.compute().item() == pytest.approx(expected)
    x, y, thresholds = functional.roc(preds, target, task="binary")
    assert len(x) == len(y) == len(thresholds) == len(np.unique(scores)) + 1
    assert functional.auc(x, y).item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="increasing or decreasing"):
        functional.auc(torch.tensor([0.0, 2.0, 1.0]), torch.ones(3))
    with pytest.raises(ValueError, match="not supported"):
        functional.auroc(preds, target, thresholds=10)
    three = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    each = functional.auroc(three, target, task="multiclass", num_classes=3, average="none")
    assert each.shape == (3,)


def test_numbers() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.random(40).astype("float32"), rng.random(40).astype("float32")
    preds, target = torch.tensor(x), torch.tensor(y)
    expected = {
        "MeanSquaredError": ((x - y) ** 2).mean(), "MeanAbsoluteError": np.abs(x - y).mean(),
        "MeanSquaredLogError": ((np.log1p(x) - np.log1p(y)) ** 2).mean(),
        "MeanAbsolutePercentageError": (np.abs(x - y) / y).mean(),
        "R2Score": 1 - ((x - y) ** 2).sum() / ((y - y.mean()) ** 2).sum(),
        "ExplainedVariance": 1 - (y - x).var() / y.var(),
        "PearsonCorrCoef": np.corrcoef(x, y)[0, 1],
    }  # fmt: skip
    for name, value in expected.items():
        metric = getattr(metrics, name)()
        for batch in range(0, 40, 16):
            metric(preds[batch : batch + 16], target[batch : batch + 16])
        assert metric.compute().item() == pytest.approx(value, rel=1e-4), name
    root = metrics.MeanSquaredError(squared=False)(preds, target)
    assert root.item() == pytest.approx(np.sqrt(((x - y) ** 2).mean()))
    with pytest.raises(RuntimeError, match="same shape"):
        functional.mean_squared_error(preds, target[:3])


def test_a_metric_of_ones_own() -> None:
    class Largest(metrics.Metric):
        def __init__(self) -> None:
            super().__init__()
            self.add_state("largest", torch.tensor(0.0), dist_reduce_fx="max")

        def update(self, values) -> None:
            self.largest = self.largest.maximum(values.max())

        def compute(self):
            return self.largest

    metric = Largest()
    assert metric(torch.tensor([1.0, 5.0])).item() == 5
    assert metric(torch.tensor([2.0])).item() == 2  # of the batch
    assert metric.compute().item() == 5  # of everything
    other = metric.clone()
    metric.reset()
    assert (metric.compute().item(), other.compute().item()) == (0, 5)
    assert metric.state_dict() == {}
    with pytest.raises(ValueError, match="must be a tensor"):
        metric.add_state("bad", 1.0)
    with pytest.raises(ValueError, match="Unexpected keyword"):
        metrics.Accuracy(colour="red")


def test_no_update_waits() -> None:
    """An update records work; it reads nothing."""
    metric = metrics.Accuracy(task="multiclass", num_classes=3)
    preds, target = torch.tensor([0, 1, 2]) + 0, torch.tensor([0, 1, 1]) + 0
    metric.update(preds, target)
    assert metric.total._read().buffer is None
    assert metric.compute().item() == pytest.approx(2 / 3)


def test_collections() -> None:
    both = metrics.MetricCollection({"a": metrics.MeanSquaredError(), "b": metrics.R2Score()})
    x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 5.0])
    both.update(x, y)
    assert set(both.compute()) == {"a", "b"}
    assert set(both.clone(prefix="val_")(x, y)) == {"val_a", "val_b"}
    both.reset()
    assert not both["a"].update_called
    with pytest.raises(ValueError, match="not an instance of `Metric`"):
        metrics.MetricCollection({"a": 1})
    with pytest.raises(ValueError, match="both named"):
        metrics.MetricCollection([metrics.R2Score(), metrics.R2Score()])
