"""Running one program on rushlight and on PyTorch, and comparing what comes out.

A program is a function of the library: ``def program(torch): ...``. Tensors are compared as
arrays, modules by their text, errors by type and message (rushlight may add lines of advice).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

import rushlight

Program = Callable[..., Any]


class Raised(NamedTuple):
    """An error a program ended with."""

    kind: str
    message: str


def oracle() -> Any:
    """PyTorch, or a skipped test where it is not installed."""
    torch = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    torch.set_num_threads(1)
    return torch


def plain(value: Any) -> Any:
    """Results without anything that belongs to one of the libraries."""
    if hasattr(value, "detach"):
        return np.array(value.detach().numpy())
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | float | str | type(None) | np.ndarray | set):
        return value
    return repr(value)


def outcome(program: Program, torch: Any, *args: Any) -> Any:
    """What a program gives on one library."""
    torch.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = plain(program(torch, *args))
        except Exception as error:
            result = Raised(type(error).__name__, str(error).replace("rushlight.", "torch."))
    kinds = sorted({(w.category.__name__, str(w.message)) for w in caught})
    return result, kinds


def same(ours: Any, theirs: Any, tolerance: float, path: str = "result") -> None:
    """Raise unless both results are equal, arrays within ``tolerance``."""
    if isinstance(theirs, Raised):
        assert isinstance(ours, Raised), f"{path}: {ours!r} where PyTorch raises {theirs}"
        assert ours.kind == theirs.kind, f"{path}: {ours} is not {theirs}"
        assert ours.message.startswith(theirs.message), f"{path}: {ours} is not {theirs}"
        return
    assert not isinstance(ours, Raised), f"{path}: {ours}"
    if isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype, f"{path}: {ours.dtype} is not {theirs.dtype}"
        assert ours.shape == theirs.shape, f"{path}: {ours.shape} is not {theirs.shape}"
        if tolerance:
            np.testing.assert_allclose(ours, theirs, tolerance, tolerance, err_msg=path)
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=path)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs), f"{path}: {list(ours)} is not {list(theirs)}"
        for key, item in theirs.items():
            same(ours[key], item, tolerance, f"{path}[{key!r}]")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), f"{path}: {ours} is not {theirs}"
        for place, item in enumerate(theirs):
            same(ours[place], item, tolerance, f"{path}[{place}]")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance), path
    else:
        assert ours == theirs, f"{path}: {ours!r} is not {theirs!r}"


def compare(
    program: Program,
    *args: Any,
    tolerance: float = 1e-5,
    warned: bool = False,
    raises: bool | None = False,
) -> None:
    """Run ``program`` on both libraries and compare the results.

    Args:
        program: what to run.
        args: its arguments beside the library.
        tolerance: allowed error of arrays and numbers.
        warned: compare the warnings too.
        raises: whether the program ends with an error; ``None``: it may.
    """
    theirs, their_warnings = outcome(program, oracle(), *args)
    assert raises is None or raises is isinstance(theirs, Raised), theirs
    ours, our_warnings = outcome(program, rushlight, *args)
    same(ours, theirs, tolerance)
    if warned:
        assert [kind for kind, _ in our_warnings] == [kind for kind, _ in their_warnings]
        for (_, mine), (_, other) in zip(our_warnings, their_warnings, strict=True):
            assert mine.startswith(other)
