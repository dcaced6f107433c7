"""The element bodies of records against their kernels: every element looked up with NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from rushlight.engine.core.dtype import COMPLEX
from rushlight.engine.ir.buffers import copy_strided
from rushlight.engine.ir.loops import Loop, computing
from rushlight.engine.ir.op import Op, Spec
from rushlight.engine.ir.scalar import Expr, cast
from rushlight.engine.ops.places import whole_number
from tests.engine.ir.agreement import differing, from_kernel
from tests.engine.ir.collected import draw, specs_of
from tests.engine.ir.evaluate import converted, evaluate
from tests.engine.ir.structured import number_type
from tests.ops.harness import attempt

#: Their inputs belong together, which random ones do not: see test_structured.py.
TOGETHER = {"pool_chosen"}
WITH_ELEMENT = [
    op.name for op in Op.registry.values() if op.element is not None and op.name not in TOGETHER
]

#: Larger results are not looked up element by element here.
MOST_ELEMENTS = 20000

#: Inputs that name elements: which, and from which number to which they may be.
NAMING: dict[str, Callable[[Spec], dict[int, tuple[int, int]]]] = {
    "take_along": lambda spec: {1: (0, along(spec, 0, "dim"))},
    "gather": lambda spec: {1: (0, along(spec, 0, "dim"))},
    "index_select": lambda spec: {1: (0, along(spec, 0, "dim"))},
    "pool_gather": lambda spec: {1: (0, prod(spec.inputs[0].shape[-spec.attr("nd") :]))},  # type: ignore[union-attr]
    "embedding_": lambda spec: {0: (0, spec.inputs[1].shape[0])},  # type: ignore[union-attr]
    "nll_loss_grad": lambda spec: {1: (0, spec.attr("shape")[len(spec.attr("shape")) > 1])},
    "nll_loss2d_grad": lambda spec: {1: (0, spec.attr("shape")[1])},
    "class_losses": lambda spec: {1: (0, along(spec, 0, 1 if spec.inputs[0].ndim > 1 else 0))},  # type: ignore[union-attr]
    "class_shares": lambda spec: {0: (0, along(spec, 1, 0))},
    "one_hot": lambda spec: {0: (0, spec.attr("num_classes"))},
    "take": lambda spec: {1: (-spec.inputs[0].numel, spec.inputs[0].numel)},  # type: ignore[union-attr]
    "index": lambda spec: named_axes(spec),
    "index_several": lambda spec: named_axes(spec),
}


def along(spec: Spec, place: int, axis: int | str) -> int:
    """The size of an axis of an input; a name is that of the attribute that says which."""
    meta = spec.inputs[place]
    assert meta is not None
    number = spec.attr(axis) if isinstance(axis, str) else axis
    return meta.shape[number] if meta.ndim else 1


def named_axes(spec: Spec) -> dict[int, tuple[int, int]]:
    """What index tensors may hold; negative numbers count from the end."""
    source = spec.inputs[0]
    assert source is not None
    sizes = [source.shape[dim] for dim in spec.attr("dims")]
    return {k: (-size, size) for k, size in enumerate(sizes, 1)}


def inputs_for(spec: Spec) -> list[Any]:
    """Random inputs with the memory layout that the metas say."""
    generator = np.random.default_rng(crc32(repr(spec).encode()))
    given: list[Any] = []
    naming = NAMING[spec.op.name](spec) if spec.op.name in NAMING else {}
    for place, meta in enumerate(spec.inputs):
        if meta is None:
            given.append(None)
        elif meta.weak:
            given.append([True, 2, 0.5][meta.dtype.category])
        else:
            array = draw(meta.dtype.numpy, meta.numel, generator)
            if place in naming:
                array = generator.integers(*naming[place], meta.numel).astype(meta.dtype.numpy)
            given.append(copy_strided(array.reshape(meta.shape), meta))
    return given


class Reader:
    """What stands for the loops and loads of an element."""

    def __init__(self, spec: Spec, given: list[Any], dynamic: bool) -> None:
        self.spec, self.given = spec, given
        shape = tuple(spec.out.shape)
        self.loops = [Loop(size) for size in shape]
        places = [x.astype(np.int64) for x in np.indices(shape)]
        self.values = {loop.number: x for loop, x in zip(self.loops, places, strict=True)}
        self.index: list[Any] = [
            whole_number(loop) if dynamic else (loop if size > 1 else 0)
            for loop, size in zip(self.loops, shape, strict=True)
        ]

    def load(self, k: int, index: Sequence[Any]) -> Expr:
        meta = self.spec.inputs[k]
        assert meta is not None
        if meta.weak:
            return Expr("scalar", (), number_type(meta), k)
        assert len(index) == meta.ndim, "one component for each axis"
        return Expr("load", (), computing(meta.dtype), (k, tuple(index)))

    def read(self, expr: Expr) -> np.ndarray:
        if expr.op == "loop":
            return self.values[expr.extra.number]
        if expr.op == "scalar":
            return np.asarray(self.given[expr.extra]).astype(expr.dtype.numpy)
        k, index = expr.extra
        array = self.given[k]
        places = [evaluate(whole_number(part), self.read) for part in index]
        for place, size in zip(places, array.shape, strict=True):
            assert ((place >= 0) & (place < size)).all(), f"input {k} has no such element"
        return np.asarray(array[tuple(places)]).astype(expr.dtype.numpy)


def looked_up(spec: Spec, given: list[Any], dynamic: bool) -> list[np.ndarray] | None:
    """The outputs element by element, ``None`` if there is no body for this case."""
    assert spec.op.element is not None
    reader = Reader(spec, given, dynamic)
    made = spec.op.element(reader.load, reader.index, spec, *spec.attrs)
    if made is None:
        return None
    made = made if isinstance(made, tuple) else (made,)
    return [
        converted(evaluate(cast(expr, computing(meta.dtype)), reader.read), meta.dtype)
        for expr, meta in zip(made, spec.outs, strict=True)
    ]


def looks_simple(spec: Spec) -> bool:
    """Whether the body is asked for this spec at all."""
    metas = [*spec.outs, *(m for m in spec.inputs if m is not None)]
    plain = all(m.dtype.category != COMPLEX for m in metas) and not spec.out.weak
    return plain and 0 < spec.out.numel <= MOST_ELEMENTS


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", WITH_ELEMENT)
def test_element_agrees_with_the_kernel(name: str) -> None:
    done = 0
    specs = specs_of(Op.registry[name])
    if not specs:
        pytest.skip("only the compiler makes it, from operators that are tested as a whole")
    for spec in filter(looks_simple, specs):
        given = inputs_for(spec)
        expected = None
        for dynamic in (False, True):
            made = looked_up(spec, given, dynamic)
            if made is None:
                break
            done += 1
            if spec.op.check is not None:
                numbers, check = spec.op.check
                check(spec, *spec.attrs)(*[given[k] for k in numbers if given[k] is not None])
            expected = expected or from_kernel(spec, given)
            for ours, theirs in zip(made, expected, strict=True):
                bad = differing(name, given, ours, theirs)
                assert not bad.any(), (
                    f"{spec}\n{np.argwhere(bad)[:5].tolist()} differ\n"
                    f"{np.broadcast_to(ours, theirs.shape)}\n{theirs}"
                )
    assert done, "no sample leads to the body"


CHECKED = [name for name in NAMING if Op.registry[name].check is not None]


@pytest.mark.parametrize("name", CHECKED)
def test_the_check_raises_what_the_kernel_raises(name: str) -> None:
    op, done = Op.registry[name], 0
    assert op.check is not None
    numbers, check = op.check
    for spec in filter(looks_simple, specs_of(op)):
        for place, (_, end) in NAMING[name](spec).items():
            given = inputs_for(spec)
            if not given[place].size:
                continue
            given[place].flat[-1] = end
            operands = [given[k] for k in numbers if given[k] is not None]
            look = check(spec, *spec.attrs)
            _, ours = attempt(lambda look=look, operands=operands: look(*operands))
            _, theirs = attempt(lambda spec=spec, given=given: from_kernel(spec, given))
            assert ours is not None
            assert repr(ours) == repr(theirs)
            done += 1
    assert done


@pytest.mark.parametrize("name", WITH_ELEMENT)
def test_bodies_of_empty_results_can_be_written(name: str) -> None:
    op = Op.registry[name]
    assert op.element is not None
    for spec in specs_of(op):
        if all(meta.numel == 0 for meta in spec.outs):
            reader = Reader(spec, [], dynamic=False)
            op.element(reader.load, reader.index, spec, *spec.attrs)
