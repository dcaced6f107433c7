"""torch.testing.assert_close: what it accepts, and PyTorch's messages word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight

NAN, INF = float("nan"), float("inf")

#: Calls, made with either package.
CALLS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "close": lambda t: (t.tensor([1.0]), t.tensor([1.0 + 1e-7])),
    "one of two": lambda t: (t.tensor([1.0, 2.0]), t.tensor([1.0, 2.5])),
    "no axes": lambda t: (t.tensor(1.0), t.tensor(2.0)),
    "matrix": lambda t: (t.tensor([[1.0, 2.0], [3, 4]]), t.tensor([[1.0, 2.1], [3, 5]])),
    "whole": lambda t: (t.tensor([1, 2]), t.tensor([1, 3])),
    "exact": lambda t: (t.tensor([1.0, 2.0]), t.tensor([1.0, 2.5]), {"rtol": 0.0, "atol": 0.0}),
    "numbers": lambda t: (1.0, 2.0),
    "whole numbers": lambda t: (1, 2),
    "close numbers": lambda t: (1.0, 1.0 + 1e-9),
    "kinds of numbers": lambda t: (1, 1.0),
    "kinds unchecked": lambda t: (1, 1.0, {"check_dtype": False}),
    "truth": lambda t: (True, False),
    "complex numbers": lambda t: (1j, 2j),
    "nan numbers": lambda t: (NAN, NAN),
    "shape": lambda t: (t.tensor([1.0]), t.tensor([1.0, 2.0])),
    "dtype": lambda t: (t.tensor([1.0]), t.tensor([1.0], dtype=t.float64)),
    "dtype unchecked": lambda t: (
        t.tensor([1.0]), t.tensor([1.0], dtype=t.float64), {"check_dtype": False}
    ),
    "none": lambda t: (None, None),
    "none in a list": lambda t: ([None], [1]),
    "nan": lambda t: (t.tensor([NAN]), t.tensor([NAN])),
    "equal nan": lambda t: (t.tensor([NAN]), t.tensor([NAN]), {"equal_nan": True}),
    "infinity": lambda t: (t.tensor([INF]), t.tensor([1.0])),
    "zero": lambda t: (t.tensor([1.0]), t.tensor([0.0])),
    "nothing": lambda t: (t.tensor([]), t.tensor([])),
    "list": lambda t: ([t.tensor([1.0]), t.tensor([2.0])], [t.tensor([1.0]), t.tensor([3.0])]),
    "tuple and list": lambda t: ((1.0, 2.0), [1.0, 2.0]),
    "lengths": lambda t: ([1], [1, 2]),
    "dictionary": lambda t: ({"a": t.tensor(1.0)}, {"a": t.tensor(2.0)}),
    "keys": lambda t: ({"a": t.tensor(1.0)}, {"b": t.tensor(2.0)}),
    "nested": lambda t: ({"a": {"b": [t.tensor([1.0])]}}, {"a": {"b": [t.tensor([2.0])]}}),
    "one tolerance": lambda t: (t.tensor([1.0]), t.tensor([2.0]), {"rtol": 0.1}),
    "message": lambda t: (t.tensor([1.0]), t.tensor([2.0]), {"msg": "other"}),
    "longer message": lambda t: (1, 2, {"msg": lambda text: f"see: {text}"}),
    "stride": lambda t: (t.zeros(2, 3).t(), t.zeros(3, 2), {"check_stride": True}),
    "complex": lambda t: (t.tensor([1 + 1j]), t.tensor([1 + 2j])),
    "bool": lambda t: (t.tensor([True]), t.tensor([False])),
    "large": lambda t: (t.tensor([2]), t.tensor([2**60])),
    "uint8": lambda t: (t.tensor([1], dtype=t.uint8), t.tensor([3], dtype=t.uint8)),
    "bfloat16": lambda t: (
        t.tensor([1.0], dtype=t.bfloat16), t.tensor([1.1], dtype=t.bfloat16)
    ),
    "arrays": lambda t: (np.array([1.0, 2]), np.array([1.0, 3])),
    "parameter": lambda t: (t.nn.Parameter(t.tensor([1.0])), t.tensor([1.0])),
    "strings": lambda t: ("a", "b"),
    "tensor and number": lambda t: (t.tensor([1.0]), 1.0),
}  # fmt: skip


def _outcome(package: Any, arguments: tuple[Any, ...]) -> tuple[str, str]:
    options = arguments[2] if len(arguments) > 2 else {}
    try:
        package.testing.assert_close(*arguments[:2], **options)
    except (AssertionError, TypeError, ValueError) as error:
        text = str(error).replace("rushlight._tensor.Tensor", "torch.Tensor")
        return type(error).__name__, text
    return "close", ""


@pytest.mark.parametrize("name", CALLS)
def test_as_pytorch(name: str) -> None:
    torch = pytest.importorskip(
        "torch", reason="PyTorch is not installed; the extra `oracle` has it"
    )
    make = CALLS[name]
    assert _outcome(rushlight, make(rushlight)) == _outcome(torch, make(torch))


def test_subclasses_can_be_refused() -> None:
    x = rushlight.tensor([1.0])
    with pytest.raises(TypeError, match="No comparison pair was able to handle"):
        rushlight.testing.assert_close(rushlight.nn.Parameter(x), x, allow_subclasses=False)
