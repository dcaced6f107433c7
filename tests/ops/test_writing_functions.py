"""Functions that write to their arguments, and losses of sequences: what no sample can say."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight.nn import functional as F

RANDOM = np.random.default_rng(0)


def own(array: np.ndarray) -> Any:
    return rushlight.tensor(array.copy())


def close(tensor: Any, expected: Any, allowed: float = 2e-6) -> None:
    wanted = expected.detach() if hasattr(expected, "detach") else expected
    ours, theirs = np.asarray(tensor.detach()), np.asarray(wanted)
    np.testing.assert_allclose(ours, theirs, rtol=allowed, atol=allowed)


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch (the extra `oracle`) is not installed")


# running statistics ------------------------------------------------------------------------------


def test_batch_norm_moves_its_statistics() -> None:
    x = RANDOM.normal(size=(4, 3, 5)).astype(np.float32)
    mean, var = rushlight.zeros(3), rushlight.ones(3)
    F.batch_norm(own(x), mean, var, training=True, momentum=0.3)
    close(mean, 0.3 * x.mean((0, 2)))
    close(var, 0.7 + 0.3 * x.var((0, 2), ddof=1))


def test_batch_norm_leaves_them_alone_in_evaluation() -> None:
    mean, var = rushlight.zeros(3), rushlight.ones(3)
    F.batch_norm(rushlight.randn(4, 3), mean, var)
    assert mean.tolist() == [0.0] * 3
    assert var.tolist() == [1.0] * 3


def test_instance_norm_moves_the_mean_of_its_statistics() -> None:
    x = RANDOM.normal(size=(4, 3, 5)).astype(np.float32)
    mean, var = rushlight.zeros(3), rushlight.ones(3)
    F.instance_norm(own(x), mean, var, momentum=0.3)
    close(mean, 0.3 * x.mean(2).mean(0))
    close(var, 0.7 + 0.3 * x.var(2, ddof=1).mean(0))


_TRAINING = {"batch_norm": "training", "instance_norm": "use_input_stats"}


@pytest.mark.parametrize("name", _TRAINING)
def test_running_statistics_are_pytorchs(torch: Any, name: str) -> None:
    x = RANDOM.normal(size=(4, 3, 2, 2)).astype(np.float32)
    found = []
    for library, make in ((torch, torch.tensor), (rushlight, own)):
        mean, var = library.full((3,), 0.5), library.full((3,), 2.0)
        function = getattr(library.nn.functional, name)
        for _ in range(3):
            function(make(x), mean, var, **{_TRAINING[name]: True})
        found.append((mean, var))
    for theirs, ours in zip(*found, strict=True):
        close(ours, theirs)


# tables whose rows are held short ----------------------------------------------------------------


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_embedding_shortens_the_rows_it_looks_up(power: float) -> None:
    table = RANDOM.normal(size=(5, 4)).astype(np.float32) * 3
    weight, rows = own(table), [1, 1, 3]
    found = F.embedding(rushlight.tensor(rows), weight, max_norm=1.0, norm_type=power)
    lengths = (np.abs(table) ** power).sum(1, keepdims=True) ** (1 / power)
    expected = table.copy()
    expected[[1, 3]] *= (1 / (lengths + 1e-7))[[1, 3]]
    close(weight, expected)
    close(found, expected[rows])


def test_bags_shorten_theirs_too(torch: Any) -> None:
    table = RANDOM.normal(size=(5, 4)).astype(np.float32) * 3
    found = []
    for library, make in ((torch, torch.tensor), (rushlight, own)):
        weight = make(table)
        rows = library.tensor([[0, 2], [2, 4]])
        found.append((library.nn.functional.embedding_bag(rows, weight, max_norm=0.5), weight))
    for theirs, ours in zip(*found, strict=True):
        close(ours, theirs)


# in place ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("dropout", (20,)),
        ("dropout1d", (5, 4, 2)),
        ("dropout2d", (5, 4, 2, 2)),
        ("dropout3d", (5, 4, 2, 2, 2)),
        ("alpha_dropout", (20,)),
        ("feature_alpha_dropout", (5, 4, 2)),
    ],
)
def test_dropout_in_place_is_dropout(name: str, shape: tuple[int, ...]) -> None:
    function: Callable[..., Any] = getattr(F, name)
    x = rushlight.ones(shape)
    rushlight.manual_seed(1)
    plain = function(rushlight.ones(shape), 0.5, True)
    rushlight.manual_seed(1)
    assert function(x, 0.5, True, True) is x
    assert x.tolist() == plain.tolist()
    assert (x != 1).any()


def test_a_channel_is_dropped_whole() -> None:
    rushlight.manual_seed(0)
    y = F.dropout2d(rushlight.ones(8, 8, 3, 3), 0.5).flatten(2)
    assert set(y.sum(2).flatten().tolist()) == {0.0, 18.0}


# sequences ---------------------------------------------------------------------------------------


def every_alignment(logs: np.ndarray, labels: list[int]) -> float:
    """The loss by its definition: all paths that collapse to the labels."""
    total = -np.inf
    for path in product(range(logs.shape[1]), repeat=logs.shape[0]):
        collapsed = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
        if [c for c in collapsed if c] == labels:
            total = np.logaddexp(total, sum(logs[step, c] for step, c in enumerate(path)))
    return -float(total)


@pytest.mark.parametrize("labels", [[1], [1, 2], [2, 2], [1, 2, 1], []])
def test_ctc_loss_adds_up_every_alignment(labels: list[int]) -> None:
    scores = RANDOM.normal(size=(5, 3))
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    found = F.ctc_loss(
        own(logs[:, None]), rushlight.tensor([[*labels, 0]]), (5,), (len(labels),), reduction="sum"
    )
    assert found.item() == pytest.approx(every_alignment(logs, labels), rel=1e-9)


def test_ctc_gradients_are_those_of_the_scores() -> None:
    scores = RANDOM.normal(size=(6, 2, 4))
    targets, lengths = rushlight.tensor([[1, 2, 2], [3, 1, 1]]), (3, 2)

    def loss(x: Any) -> Any:
        return F.ctc_loss(x.log_softmax(2), targets, (6, 4), lengths, reduction="sum")

    x = own(scores).requires_grad_()
    loss(x).backward()
    direction = RANDOM.normal(size=scores.shape)
    ahead, behind = (loss(own(scores + s * direction)).item() for s in (1e-5, -1e-5))
    slope = float((np.asarray(x.grad) * direction).sum())
    assert slope == pytest.approx((ahead - behind) / 2e-5, rel=1e-6)


def test_targets_one_after_the_other(torch: Any) -> None:
    logs = RANDOM.normal(size=(6, 3, 4)).astype(np.float32)
    found = []
    for library, make in ((torch, torch.tensor), (rushlight, own)):
        x = make(logs).requires_grad_()
        loss = library.nn.functional.ctc_loss(
            x.log_softmax(2), library.tensor([1, 2, 3, 1, 1]), (6, 5, 6), (2, 1, 2)
        )
        loss.backward()
        found.append((loss, x.grad))
    for theirs, ours in zip(*found, strict=True):
        close(ours, theirs)


def test_a_sample_that_cannot_be_aligned() -> None:
    logs = rushlight.zeros(2, 1, 3).log_softmax(2).requires_grad_()
    targets = rushlight.tensor([[1, 2, 1]])
    assert F.ctc_loss(logs, targets, (2,), (3,)).item() == np.inf
    loss = F.ctc_loss(logs, targets, (2,), (3,), zero_infinity=True)
    loss.backward()
    assert loss.item() == 0.0
    assert not logs.grad.any()


# errors found in data ----------------------------------------------------------------------------


def test_a_class_that_does_not_exist_is_found_when_it_is_known() -> None:
    targets = rushlight.tensor([0, 4]) + 1  # not computed yet, so the call cannot know
    loss = F.nll_loss(rushlight.zeros(2, 3), targets)
    with pytest.raises(IndexError, match="Target 5 is out of bounds") as caught:
        loss.item()
    assert any("test_writing_functions.py" in note for note in caught.value.__notes__)


def test_probabilities_are_checked_when_they_are_known() -> None:
    loss = F.binary_cross_entropy(rushlight.ones(2) * 2, rushlight.ones(2))
    with pytest.raises(RuntimeError, match="should be between 0 and 1"):
        loss.item()
