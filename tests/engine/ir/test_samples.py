"""The short words in which records write down their sample calls."""

from __future__ import annotations

import dataclasses

import pytest

from rushlight.engine.ir.samples import BINARY, UNARY, ErrorSample, S, Sample, T, t, tb, tc, ti


def test_tensors_of_every_kind() -> None:
    assert t(2, 3) == T((2, 3))
    assert t() == T(())
    assert ti(4, low=0, high=3) == T((4,), "int", 0, 3, False)
    assert tb(2) == T((2,), "bool", grad=False)
    assert tc(2, low=1.0) == T((2,), "complex", 1.0)
    assert not ti(1).grad


def test_a_sample_separates_arguments_from_checks() -> None:
    sample = S(t(2), 3, dim=1, tolerance=2.0, twice=False, oracle=False)
    assert sample.args == (t(2), 3)
    assert sample.kwargs == {"dim": 1}
    assert (sample.tolerance, sample.check_grad, sample.twice, sample.oracle, sample.numeric) == (
        2.0, True, False, False, True,
    )  # fmt: skip
    assert S(t(1)) == Sample((t(1),), {})


def test_samples_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        t(2).low = 0.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        S().args = ()  # type: ignore[misc]


def test_the_usual_calls_hold_the_usual_shapes() -> None:
    shapes = [sample.args[0].shape for sample in UNARY]
    assert () in shapes
    assert any(0 in shape for shape in shapes)
    assert all(len(sample.args) == 2 for sample in BINARY)
    error = ErrorSample(S(t(1)), ValueError, "words")
    assert (error.error, error.match) == (ValueError, "words")
