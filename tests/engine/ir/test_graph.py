"""Metas and values: what is known of a tensor before it is computed."""

from __future__ import annotations

import pytest

from rushlight.engine.core.dtype import bool_, complex128, float32, float64, int64
from rushlight.engine.core.shape import Size
from rushlight.engine.ir import graph
from rushlight.engine.ir.graph import (
    RULE_FLOAT,
    WEAK_FLOAT,
    WEAK_METAS,
    Value,
    forget_metas,
    make_meta,
    strided_meta,
)


def test_equal_metas_are_one_object() -> None:
    one = make_meta((2, 3), float32)
    assert make_meta((2, 3), float32) is one
    assert strided_meta((2, 3), (3, 1), float32) is one
    assert make_meta((2, 3), float64) is not one
    assert strided_meta((2, 3), (1, 2), float32) is not one


def test_a_meta_knows_its_layout() -> None:
    meta = strided_meta((2, 3), (1, 2), float32)
    assert (meta.ndim, meta.numel, meta.nbytes, meta.contiguous) == (2, 6, 24, False)
    assert isinstance(meta.shape, Size)
    assert repr(meta) == "<float32[2, 3] strides (1, 2)>"
    assert repr(make_meta((), int64)) == "<int64[]>"


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 0), (1, 4, 1)])
def test_row_major_metas_are_contiguous(shape: tuple[int, ...]) -> None:
    assert make_meta(shape, float32).contiguous


def test_metas_derive_from_one_another() -> None:
    meta = strided_meta((2, 3), (1, 2), float32)
    assert meta.like() is make_meta((2, 3), float32)
    assert meta.like((4,)) is make_meta((4,), float32)
    assert meta.like(dtype=int64) is make_meta((2, 3), int64)
    assert meta.with_dtype(bool_) is strided_meta((2, 3), (1, 2), bool_)


def test_numbers_have_weak_metas() -> None:
    assert WEAK_METAS[float] is WEAK_FLOAT
    assert all(meta.weak and meta.ndim == 0 for meta in WEAK_METAS.values())
    assert WEAK_METAS[complex].dtype is complex128
    assert RULE_FLOAT.weak
    assert RULE_FLOAT is not WEAK_FLOAT
    assert repr(WEAK_FLOAT) == "<number float64[]>"


def test_the_table_of_metas_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "_metas", {})
    kept = make_meta((5, 5), float32)
    forget_metas(keep=10)
    assert make_meta((5, 5), float32) is kept
    for n in range(20):
        make_meta((n,), float32)
    forget_metas(keep=10)
    assert not graph._metas
    assert kept.numel == 25
    assert make_meta((5, 5), float32) is not kept


def test_a_value_says_whether_it_is_ready() -> None:
    value = Value(make_meta((2,), float32))
    assert value.buffer is None
    assert "pending at -1" in repr(value)
    value.buffer = 1
    assert "ready" in repr(value)
