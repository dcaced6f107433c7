"""Memory with the layout a meta asks for."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.engine.core.dtype import bfloat16, float32, int64
from rushlight.engine.ir.buffers import copy_strided, empty_strided, settle
from rushlight.engine.ir.graph import Meta, make_meta, strided_meta

LAYOUTS = [
    make_meta((2, 3), float32),
    make_meta((), int64),
    make_meta((0, 3), float32),
    strided_meta((2, 3), (1, 2), float32),
    strided_meta((2, 3, 4), (12, 1, 3), float32),
    strided_meta((2, 3), (6, 2), float32),
    strided_meta((2, 1), (1, 7), bfloat16),
    strided_meta((2, 0), (1, 2), float32),
]


def steps(array: np.ndarray) -> list[int]:
    return [s // array.itemsize for s, n in zip(array.strides, array.shape, strict=True) if n > 1]


def wanted(meta: Meta) -> list[int]:
    return [s for s, n in zip(meta.strides, meta.shape, strict=True) if n > 1]


@pytest.mark.parametrize("meta", LAYOUTS, ids=repr)
def test_memory_has_the_layout_asked_for(meta: Meta) -> None:
    made = empty_strided(meta)
    assert (made.shape, made.dtype) == (tuple(meta.shape), meta.dtype.numpy)
    if meta.numel:
        assert steps(made) == wanted(meta)
    made[...] = 1
    assert (made == 1).all()


@pytest.mark.parametrize("meta", LAYOUTS, ids=repr)
def test_a_copy_has_the_contents_and_the_layout(meta: Meta) -> None:
    array = np.arange(meta.numel).reshape(tuple(meta.shape)).astype(meta.dtype.numpy)
    made = copy_strided(array, meta)
    assert (made == array).all()
    assert not np.shares_memory(made, array)


@pytest.mark.parametrize("meta", LAYOUTS, ids=repr)
def test_what_lies_as_it_should_stays_where_it_is(meta: Meta) -> None:
    array = empty_strided(meta)
    array[...] = 2
    assert settle(array, meta) is array


def test_what_lies_otherwise_is_copied() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    turned = settle(array, strided_meta((2, 3), (1, 2), float32))
    assert steps(turned) == [1, 2]
    assert (turned == array).all()
    back = settle(turned, make_meta((2, 3), float32))
    assert back.flags.c_contiguous
    assert (back == array).all()
