"""Tensor's methods and operators, bound from the records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight._api import api, inplace_form
from rushlight._creation import METHODS
from rushlight._indexing import getitem, setitem
from rushlight._printing import tensor_format, tensor_repr
from rushlight._resize import METHODS as RESIZE_METHODS
from rushlight._tensor import Tensor
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import Op
from rushlight.engine.trace.prepared import binary, unary

#: Python's operators and the records they call.
_BINARY: dict[str, str] = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}
_COMPARE: dict[str, str] = {n: n for n in ("eq", "ne", "lt", "le", "gt", "ge")}
_multiply = api.methods["matmul"]
#: Properties, by the method that computes them (`_set_<name>` stores them).
_PROPERTIES: dict[str, str] = {
    "T": "_reversed_axes",
    "mT": "_matrix_transpose",
    "mH": "_conjugate_matrix",
    "H": "_hermitian",
    "real": "_real",
    "imag": "_imag",
}
_UNARY: dict[str, str] = {"neg": "neg", "abs": "abs", "invert": "bitwise_not"}


def _bind_operators() -> None:
    for dunder, name in _BINARY.items():
        op = Op.registry[name]
        setattr(Tensor, f"__{dunder}__", binary(op, operator=True))
        setattr(Tensor, f"__r{dunder}__", binary(op, operator=True, swap=True))
        setattr(Tensor, f"__i{dunder}__", inplace_form(binary(op), f"{name}_"))
    for dunder, name in _COMPARE.items():
        setattr(Tensor, f"__{dunder}__", binary(Op.registry[name], operator=True))
    for dunder, name in _UNARY.items():
        setattr(Tensor, f"__{dunder}__", unary(Op.registry[name]))
    for dunder, function in _special_methods().items():
        setattr(Tensor, f"__{dunder}__", function)


def _special_methods() -> dict[str, Callable[..., Any]]:
    """What Python calls on a tensor, besides the operators made one by one from the records."""
    return {
        "rsub": binary(Op.registry["rsub"], operator=True),  # PyTorch has one for number - tensor
        "matmul": _matmul,
        "rmatmul": _reflected_matmul,
        "getitem": getitem,
        "setitem": setitem,
        "pos": lambda self: self,
        "repr": tensor_repr,
        "format": tensor_format,
    }


def _matmul(self: Any, other: Any) -> Any:
    return _multiply(self, other) if isinstance(other, TensorBase) else NotImplemented


def _reflected_matmul(self: Any, other: Any) -> Any:
    return _multiply(other, self) if isinstance(other, TensorBase) else NotImplemented


def _bind_methods() -> None:
    for name, function in {**api.methods, **METHODS, **RESIZE_METHODS}.items():
        setattr(Tensor, name, function)
    for name, getter in _PROPERTIES.items():
        setattr(Tensor, name, property(api.methods[getter], api.methods.get(f"_set_{name}")))


def namespace(name: str) -> dict[str, Any]:
    """The public functions of ``torch`` (``"torch"``) or one of its parts (``"linalg"``)."""
    return api.namespaces.get(name, {})


_bind_operators()
_bind_methods()
