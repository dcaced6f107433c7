"""The public functions and methods, made from the operator records."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import rushlight.engine.ops as ops_package
from rushlight.engine.core.dtype import SCALAR_NAMES, can_cast
from rushlight.engine.ir.op import Composite, Op, Record
from rushlight.engine.trace.prepared import binary, unary
from rushlight.engine.trace.views import meta_of, write

Function = Callable[..., Any]


def _load(package: Any) -> None:
    """Import every module that holds operator records."""
    for module in sorted(iter_modules(package.__path__), key=lambda m: m.name):
        loaded = import_module(f"{package.__name__}.{module.name}")
        if module.ispkg:
            _load(loaded)


def primitive_function(op: Op) -> Function:
    """The recording function of a primitive without attributes."""
    if op.attr_names:
        raise ValueError(f"{op.name}: an operator with attributes needs a composite as its face")
    if len(op.input_names) == 1 and not op.variadic:
        return unary(op)
    if len(op.input_names) == 2 and not op.variadic:
        return binary(op)
    return lambda *inputs: op(*inputs)


def write_out(out: Any, result: Any, name: str) -> Any:
    """Store ``result`` in the tensor (or tuple of tensors) given as ``out=``."""
    if isinstance(result, tuple):
        parts = [write_out(o, r, name) for o, r in zip(out, result, strict=True)]
        return result._make(parts) if hasattr(result, "_make") else tuple(parts)
    have, got = meta_of(out), meta_of(result)
    if out.requires_grad or result.requires_grad:
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if not can_cast(got.dtype, have.dtype):
        raise RuntimeError(
            f"result type {SCALAR_NAMES[got.dtype]} can't be cast to the desired output type "
            f"{SCALAR_NAMES[have.dtype]}"
        )
    if have.shape != got.shape:
        if have.numel:
            warnings.warn(
                f"An output with one or more elements was resized since it had shape "
                f"{list(have.shape)}, which does not match the required output shape "
                f"{list(got.shape)}. Give out= a tensor of that shape, or an empty one.",
                UserWarning,
                stacklevel=3,
            )
        converted = result if have.dtype is got.dtype else result.to(have.dtype).contiguous()
        out._alias = None
        out._version_count += 1
        out._value = converted._value
        return out
    return write(out, result, name)


#: Parameters of PyTorch's native functions and what they may be called besides: as NumPy does. The
#: reductions that are called most declare ``axis`` themselves: a method then needs no second call.
_OTHER_NAMES = {
    "dim": ("axis",), "keepdim": ("keepdims",), "input": ("x", "a", "x1"), "other": ("x2",),
    "split_size_or_sections": ("split_size",),
}  # fmt: skip


def other_names(function: Function) -> dict[str, str]:
    """Other names of a function's parameters that it does not know itself, with its own."""
    code = getattr(function, "__code__", None)
    if code is None:
        return {}
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {
        other: name
        for name, others in _OTHER_NAMES.items()
        if name in own
        for other in others
        if other not in own
    }


def _with_own_names(kwargs: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Arguments by a function's own names; the same parameter by both names is an error of its."""
    return {
        names[key] if key in names and names[key] not in kwargs else key: value
        for key, value in kwargs.items()
    }


def with_other_names(function: Function) -> Function:
    """A method whose parameters may be called otherwise (but for the tensors)."""
    tensors = "input", "other"
    names = {k: name for k, name in other_names(function).items() if name not in tensors}
    if not names:
        return function

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs and not names.keys().isdisjoint(kwargs):
            kwargs = _with_own_names(kwargs, names)
        return function(*args, **kwargs)

    return call


def with_out(function: Function, name: str, names: dict[str, str]) -> Function:
    """``function`` with PyTorch's ``out=`` argument, which may be told other ``names``.

    An attribute ``prepare_out(out, keyword arguments)`` of the function may refuse ``out`` or make
    the function compute in its type.
    """
    prepare = getattr(function, "prepare_out", None)

    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if kwargs and not names.keys().isdisjoint(kwargs):
            kwargs = _with_own_names(kwargs, names)
        if out is None:
            return function(*args, **kwargs)
        if prepare is not None:
            prepare(out, kwargs)
        return write_out(out, function(*args, **kwargs), name)

    def redirect(target: Function) -> None:
        """Let every caller of this face, however it has come by it, reach another function."""
        nonlocal function
        function = target

    call.redirect = redirect  # type: ignore[attr-defined]
    return call


def inplace_form(function: Function, name: str) -> Function:
    """The form that writes into its first argument."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return write(self, function(self, *args, **kwargs), name)

    return call


def _dress(function: Function, name: str, record: Record, owner: str) -> Function:
    function.__name__ = name
    function.__qualname__ = f"{owner}{name}"
    function.__module__ = "torch"
    function.__doc__ = record.doc or function.__doc__  # type: ignore[attr-defined]
    return function


class Api:
    """Every public function by namespace, and the methods of Tensor."""

    def __init__(self) -> None:
        self.namespaces: dict[str, dict[str, Function]] = {}
        self.methods: dict[str, Function] = {}
        for op in Op.registry.values():
            if op.namespaces or op.method:
                self._add(op, primitive_function(op))
        for composite in Composite.registry.values():
            self._add(composite, composite.function)

    def _add(self, record: Record, function: Function) -> None:
        name = record.public_name
        if record.namespaces:
            native = any(space != "nn.functional" for space in record.namespaces)
            names = other_names(function) if native else {}
            face = _dress(with_out(function, name, names), name, record, "")
            face.__wrapped__ = function  # type: ignore[attr-defined]
            for namespace in record.namespaces:
                self.namespaces.setdefault(namespace, {})[name] = face
        if record.method:
            method = record.method_name
            self.methods[method] = with_other_names(function)
            if record.inplace:
                form = inplace_form(function, method + "_")
                self.methods[method + "_"] = _dress(form, method + "_", record, "Tensor.")
                public = isinstance(record, Op) or record.inplace == "torch"
                if "torch" in record.namespaces and public:
                    self.namespaces["torch"][name + "_"] = form
        elif record.inplace:
            form = _dress(inplace_form(function, name + "_"), name + "_", record, "")
            for namespace in record.namespaces:
                self.namespaces[namespace][name + "_"] = form


_load(ops_package)
api = Api()
