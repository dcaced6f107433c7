"""The ways a program can be run: at once, recorded, compiled, by PyTorch, with noise."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import rushlight
from rushlight.engine import interpreter
from rushlight.engine.core.config import config
from rushlight.engine.ir.op import CONV, MATMUL, OTHER, POINTWISE, REDUCTION
from rushlight.engine.runtime import executor
from rushlight.engine.runtime.cache import State, slots
from rushlight.engine.trace.recorder import mode
from tests.fuzz.guard import guarded

try:
    import torch as oracle
except ImportError:  # the extra `oracle` is absent: programs are compared among themselves
    oracle = None
else:
    oracle.set_num_threads(1)

#: Whether there is a compiler to compare with the interpreter.
COMPILER = importlib.util.find_spec("rushlight.engine.runtime.compiling") is not None
NO_COMPILER = "the compiler (rushlight.engine.runtime.compiling) is not there"

#: What is set so that a program is compiled as soon as it comes back, however short it is.
AT_ONCE = {"begin": 1, "use": 1, "nodes": 1, "patient": False}


def empty_cache() -> None:
    """Forget every recorded program, so that each mode meets its programs for the first time."""
    try:
        executor.flush()
    finally:
        for slot in list(slots.every.values()):
            slot.root = State(None, None, slot.base, slot.base, None)
            slot.trace.state = slot.root


@contextmanager
def _settings(eager: bool, compiler: bool) -> Iterator[None]:
    before = mode.limit, config.eager, config.compiler
    empty_cache()
    config.eager, mode.limit = eager, -1 if eager else config.trace_limit
    config.compiler = compiler
    try:
        yield
    finally:
        config.eager, mode.limit, config.compiler = before[1], before[0], before[2]
        empty_cache()


@contextmanager
def eager() -> Iterator[None]:
    """Every operation is run when it is written."""
    with _settings(True, False):
        yield


@contextmanager
def recorded() -> Iterator[None]:
    """Programs are recorded and run by the interpreter."""
    with _settings(False, False):
        yield


@contextmanager
def compiled() -> Iterator[None]:
    """Programs are recorded, and compiled as soon as they come back."""
    if not COMPILER:
        raise RuntimeError(NO_COMPILER)
    thresholds = importlib.import_module("rushlight.engine.runtime.compiling").thresholds
    before = {name: getattr(thresholds, name) for name in AT_ONCE}
    with _settings(False, True):
        for name, new in AT_ONCE.items():
            setattr(thresholds, name, new)
        try:
            with guarded():
                yield
        finally:
            for name, old in before.items():
                setattr(thresholds, name, old)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Kinds of operators whose results are rounded.
ROUNDING = (POINTWISE, REDUCTION, MATMUL, CONV, OTHER)
#: Operators of these kinds whose results are numbers that were there before.
EXACT = _names("""
    neg abs relu floor ceil round trunc sign sgn maximum minimum fmax fmin clamp clamp_min
    clamp_max clone copy contiguous to where masked_fill cat stack fill amax amin max min
    threshold flip roll repeat pad sort topk signbit copysign tril triu index gather amax_ amin_
    max_all min_all aminmax_ max_dim min_dim argmax_ argmin_ median_all unsafe_view view_scatter
    view_embed as_layout copy_into constant_pad_nd circular_pad max_pool max_pool3
    adaptive_max_pool2 adaptive_max_pool3 max_unpool2 max_unpool3 cummax_ cummin_ rot90
    diag_embed diagonal_copy pixel_shuffle pixel_unshuffle channel_shuffle im2col block_diag
    narrow_copy select_scatter slice_scatter diagonal_scatter as_strided_scatter split
    split_with_sizes unbind pairs permutation shift copy_columns zero_diagonal relu6 hardtanh
    positive real conj
""")
#: Operators of the kind ``gather`` that add numbers up.
ADDING = _names("""
    index_add scatter_add scatter_reduce embedding_grad spread_along index_put index_put_several
    index_embed index_several_embed gather_embed embedding_bag_ grid_sampler_2d grid_sampler_3d
""")
#: The last bits that rounding leaves open, relative, by NumPy type.
LAST_BITS = {"float64": 2.0**-50, "float32": 2.0**-21, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def _noisy(random: np.random.Generator) -> Callable[..., BaseException | None]:
    """An interpreter that changes the last bits of every rounded result at random."""

    def run(program: Any, environment: list[Any], locations: Any) -> BaseException | None:
        error: BaseException | None = None
        for node in program.nodes:
            inputs = [None if i < 0 else environment[i] for i in node.inputs]
            op = node.spec.op
            rounded = op.name in ADDING or (op.kind in ROUNDING and op.name not in EXACT)
            if (
                rounded
                and node.spec.out.dtype.is_floating_point
                and len(inputs) + (op.kind != POINTWISE) > 1
            ):
                # a sum of large terms of two signs is as good as its terms, not as its result
                inputs = [_shake(one, random) for one in inputs]
            try:
                results = node.spec.kernel(*inputs)
            except Exception as raised:
                found = interpreter._spoil(node, environment, raised, locations)
                error = error or found
                continue
            several = len(node.spec.outs) != 1
            for offset, made in enumerate(results if several else (results,)):
                environment[node.first + offset] = _shake(made, random) if rounded else made
        return error

    return run


def _shake(made: Any, random: np.random.Generator) -> Any:
    bits = LAST_BITS.get(made.dtype.name) if isinstance(made, np.ndarray) else None
    if bits is None or made.size == 0:
        return made
    wide = np.float64 if made.dtype.itemsize > 2 else np.float32
    factors = 1 + bits * random.uniform(-1, 1, made.shape)
    with np.errstate(all="ignore"):
        return np.asarray((made.astype(wide) * factors).astype(made.dtype))


@contextmanager
def noisy(seed: int) -> Iterator[None]:
    """The interpreter with random last bits: tells how many digits of a result mean anything."""
    before = executor.run
    with recorded():
        executor.run = _noisy(np.random.default_rng(seed))
        try:
            yield
        finally:
            executor.run = before


MODES: dict[str, Callable[[], Any]] = {
    "eager": eager, "recorded": recorded, "compiled": compiled,
}  # fmt: skip


def library(name: str) -> Any:
    """The library a mode runs programs with."""
    return oracle if name == "oracle" else rushlight


__all__ = [
    "COMPILER", "MODES", "NO_COMPILER", "compiled", "eager",
    "empty_cache", "library", "noisy", "oracle", "recorded",
]  # fmt: skip
