"""Complex numbers: parts (views), conjugates, angles, and how they are put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import (
    SCALAR_NAMES,
    float32,
    float64,
)
from rushlight.engine.ir.graph import Meta, TensorBase, strided_meta
from rushlight.engine.ir.op import VIEW, Op, Spec, composite, write
from rushlight.engine.ir.samples import S, Sample, t, tc, ti
from rushlight.engine.ir.scalar import function, where
from rushlight.engine.ops.arithmetic_rules import no_gradient, require_tensor
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.elementwise import FLOAT, REAL, broadcast_meta, infer_rule, pointwise

#: There is no half complex type here, so these functions are sampled in the others alone.
_PRECISE = ("float32", "float64")


def _sample(*arguments: Any, dtype: str) -> Sample:
    """A call in one type; float32 is too coarse for numeric derivatives."""
    made = tuple(t(*shape, dtype=dtype) for shape in arguments)
    return Sample(made, check_grad=dtype == "float64")


# parts ------------------------------------------------------------------------------------------


def _part_infer(input: Meta) -> Meta:
    strides = tuple(2 * stride for stride in input.strides)
    return strided_meta(tuple(input.shape), strides, input.dtype.to_real(), input.device)


real_view = Op(
    "real(Tensor input)",
    kind=VIEW,
    infer=_part_infer,
    kernel=lambda spec: lambda x: x.real,
    grad={"input": lambda g: complex_op(g, 0)},
    grad_name="Select",
)

imag_view = Op(
    "imag(Tensor input)",
    kind=VIEW,
    infer=_part_infer,
    kernel=lambda spec: lambda x: x.imag,
    grad={"input": lambda g: complex_op(0, g)},
    grad_name="Select",
)


@composite(samples=(S(tc(3, 2)), S(t(3)), S(tc())))
def real(input: Any) -> Any:
    """The real part, a view of the same memory (``input`` itself if it is real).

    >>> import rushlight as torch
    >>> torch.real(torch.complex(torch.tensor([1.0]), torch.tensor([2.0])))
    tensor([1.])
    """
    return real_view(input) if input.dtype.is_complex else input


@composite(samples=(S(tc(3, 2)), S(tc())))
def imag(input: Any) -> Any:
    """The imaginary part, a view of the same memory.

    Raises:
        RuntimeError: ``input`` is not complex.

    >>> import rushlight as torch
    >>> torch.imag(torch.complex(torch.tensor([1.0]), torch.tensor([2.0])))
    tensor([2.])
    """
    if not input.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return imag_view(input)


def _set(part: Any, value: Any) -> None:
    if not isinstance(value, TensorBase):
        value = part * 0 + value
    write(part, value, "copy_")


@composite(name="_real", namespaces=(), method=True, samples=(S(tc(2, 3)), S(t(3))))
def _real_property(self: Any) -> Any:
    """The real part, a view of the same memory."""
    return real(self)


@composite(name="_imag", namespaces=(), method=True, samples=(S(tc(2, 3)),))
def _imag_property(self: Any) -> Any:
    """The imaginary part, a view of the same memory."""
    return imag(self)


@composite(name="_set_real", namespaces=(), method=True)
def _set_real(self: Any, value: Any) -> None:
    """Store the real part."""
    _set(real(self), value)


@composite(name="_set_imag", namespaces=(), method=True)
def _set_imag(self: Any, value: Any) -> None:
    """Store the imaginary part."""
    _set(imag(self), value)


def _as_real_infer(input: Meta) -> Meta:
    if not input.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    strides = (*(2 * stride for stride in input.strides), 1)
    return strided_meta((*input.shape, 2), strides, input.dtype.to_real(), input.device)


def _as_real_kernel(spec: Spec) -> Callable[[np.ndarray], np.ndarray]:
    target = spec.out.dtype.numpy
    return lambda x: x[..., None].view(target)


as_real = Op(
    "view_as_real(Tensor input)",
    kind=VIEW,
    infer=_as_real_infer,
    kernel=_as_real_kernel,
    grad={"input": lambda g: complex_op(g.select(-1, 0), g.select(-1, 1))},
)


def _as_complex_infer(input: Meta) -> Meta:
    if input.dtype not in (float32, float64):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {SCALAR_NAMES[input.dtype]}"
        )
    if not input.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if input.strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(stride % 2 for stride in input.strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    strides = tuple(stride // 2 for stride in input.strides[:-1])
    return strided_meta(
        tuple(input.shape[:-1]), strides, input.dtype.to_complex(), input.device
    )


def _as_complex_kernel(spec: Spec) -> Callable[[np.ndarray], np.ndarray]:
    target = spec.out.dtype.numpy
    return lambda x: x.view(target)[..., 0]


as_complex = Op(
    "view_as_complex(Tensor input)",
    kind=VIEW,
    infer=_as_complex_infer,
    kernel=_as_complex_kernel,
    grad={"input": lambda g: as_real(g)},
)


#: PyTorch's backward of the empty one fails.
_EMPTY = Sample((tc(0, 2),), check_grad=False)


@composite(samples=(S(tc(3, 2)), S(tc()), _EMPTY))
def view_as_real(input: Any) -> Any:
    """A complex tensor as a real one with an axis of size 2 at the end, over the same memory.

    >>> import rushlight as torch
    >>> torch.view_as_real(torch.complex(torch.tensor([1.0]), torch.tensor([2.0])))
    tensor([[1., 2.]])
    """
    return as_real(input)


@composite(
    samples=tuple(
        _sample(shape, dtype=dtype)
        for shape in ((3, 2), (2,), (4, 3, 2))
        for dtype in _PRECISE
    )
)
def view_as_complex(input: Any) -> Any:
    """A real tensor whose last axis has size 2 as a complex one, over the same memory.

    >>> import rushlight as torch
    >>> torch.view_as_complex(torch.tensor([[1.0, 2.0]]))
    tensor([1.+2.j])
    """
    return as_complex(input)


# conjugates -------------------------------------------------------------------------------------

conj_op = pointwise(
    "conj(Tensor input)",
    np.conjugate,
    # PyTorch's is a view, so its strides are the input's
    infer=lambda input: input.with_dtype(input.dtype),
    grad={"input": lambda g: g.conj()},
)


@composite(method=True, samples=(S(tc(3)), S(t(3)), S(tc())))
def conj(input: Any) -> Any:
    """The complex conjugate (``input`` itself if it is real).

    >>> import rushlight as torch
    >>> torch.conj(torch.complex(torch.tensor([1.0]), torch.tensor([2.0])))
    tensor([1.-2.j])
    """
    return conj_op(input) if input._value.meta.dtype.is_complex else input


conj_physical_op = pointwise(
    "conj_physical(Tensor input)",
    np.conjugate,
    grad={"input": lambda g: g.conj()},
)


@composite(method=True, inplace="torch", samples=(S(tc(3)), S(ti(3))))
def conj_physical(input: Any) -> Any:
    """The complex conjugate in memory of its own (``input`` itself if it is real).

    >>> import rushlight as torch
    >>> torch.conj_physical(torch.complex(torch.tensor([1.0]), torch.tensor([2.0])))
    tensor([1.-2.j])
    """
    return conj_physical_op.quick(input) if input._value.meta.dtype.is_complex else input


@composite(method=True, samples=(S(tc(3)), S(t(3))))
def resolve_conj(input: Any) -> Any:
    """``input``: conjugates are never left for later.

    >>> import rushlight as torch
    >>> torch.resolve_conj(torch.ones(1))
    tensor([1.])
    """
    return input


@composite(method=True, samples=(S(tc(3)), S(t(3))))
def resolve_neg(input: Any) -> Any:
    """``input``: negations are never left for later.

    >>> import rushlight as torch
    >>> torch.resolve_neg(torch.ones(1))
    tensor([1.])
    """
    return input


# from parts -------------------------------------------------------------------------------------


def _complex_infer(real: Meta, imag: Meta) -> Meta:
    first, second = real.dtype, imag.dtype
    if not (real.weak or imag.weak):
        if first not in (float32, float64) or second not in (float32, float64):
            raise RuntimeError(
                "Expected both inputs to be Half, Float or Double tensors but got "
                f"{SCALAR_NAMES[first]} and {SCALAR_NAMES[second]}"
            )
        if first is not second:
            raise RuntimeError(
                f"Expected object of scalar type {SCALAR_NAMES[first]} but got scalar type "
                f"{SCALAR_NAMES[second]} for second argument"
            )
    found = first if imag.weak else second
    return broadcast_meta((real, imag), found.to_complex())


def _complex_kernel(spec: Spec) -> Callable[..., np.ndarray]:
    shape, target = tuple(spec.out.shape), spec.out.dtype.numpy

    def kernel(real: Any, imag: Any) -> np.ndarray:
        made = np.empty(shape, target)
        made.real = real
        made.imag = imag
        return made

    return kernel


complex_op: Op = pointwise(
    "complex(Tensor real, Tensor imag)",
    np.add,
    infer=_complex_infer,
    kernel=_complex_kernel,
    grad={
        "real": lambda g: real(g),
        "imag": lambda g: imag(g) if g.dtype.is_complex else no_gradient(g),
    },
)


@composite(
    name="complex",
    samples=tuple(
        _sample(*shapes, dtype=dtype)
        for shapes in (((3,), (3,)), ((2, 1), (3,)), ((), ()))
        for dtype in _PRECISE
    ),
)
def complex_(real: Any, imag: Any) -> Any:
    """A complex tensor from its real and imaginary parts.

    Args:
        real: float32 or float64.
        imag: of the same type.

    >>> import rushlight as torch
    >>> torch.complex(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([1.+2.j])
    """
    require_tensor(real, "complex", "real", 1)
    require_tensor(imag, "complex", "imag", 2)
    return complex_op(real, imag)


def _polar_kernel(spec: Spec) -> Callable[..., np.ndarray]:
    shape, target = tuple(spec.out.shape), spec.out.dtype.numpy

    def kernel(absolute: Any, angle: Any) -> np.ndarray:
        made = np.empty(shape, target)
        made.real = absolute * np.cos(angle)
        made.imag = absolute * np.sin(angle)
        return made

    return kernel


polar_op = pointwise(
    "polar(Tensor abs, Tensor angle)",
    np.add,
    infer=_complex_infer,
    kernel=_polar_kernel,
    grad={
        "abs": lambda g, result: real(g.conj() * result.sgn()),
        "angle": lambda g, result: real(g.conj() * (result * 1j)),
    },
)


@composite(samples=(S(t(3, low=0.5), t(3)), S(t(2, 1, low=0.5), t(3))))
def polar(abs: Any, angle: Any) -> Any:
    """A complex tensor from magnitudes and angles.

    Args:
        abs: the magnitudes, float32 or float64.
        angle: the angles in radians, of the same type.

    >>> import rushlight as torch
    >>> torch.polar(torch.tensor([2.0]), torch.tensor([0.0]))
    tensor([2.+0.j])
    """
    require_tensor(abs, "polar", "abs", 1)
    require_tensor(angle, "polar", "angle", 2)
    return polar_op(abs, angle)


# angles -----------------------------------------------------------------------------------------


def _angle(x: Any) -> Any:
    if x.dtype.kind == "c":
        return np.arctan2(x.imag, x.real)
    found = np.where(x < 0, x.dtype.type(np.pi), x.dtype.type(0))
    return np.where(np.isnan(x), x, found)


def _angle_gradient(g: Any, input: Any) -> Any:
    if not input.dtype.is_complex:
        return no_gradient(g)
    first, second = real(input), imag(input)
    size = first * first + second * second
    slope = complex_op(-g * second / size, g * first / size)
    return where_op(size == 0, 0, slope)


angle = pointwise(
    "angle(Tensor input)",
    _angle,
    scalar=lambda x: where(x < 0, np.pi, where(function("isnan", x), x, 0.0)),
    rule=FLOAT,
    infer=lambda input: infer_rule(REAL if input.dtype.is_complex else FLOAT, 1)(input),
    grad={"input": _angle_gradient},
    namespaces=("torch",),
    method=True,
    samples=(S(tc(3)), S(t(4)), S(ti(4))),
    doc="""The angle of each element in radians; 0 or pi for real numbers.

    >>> import rushlight as torch
    >>> torch.angle(torch.complex(torch.tensor([0.0]), torch.tensor([1.0])))
    tensor([1.5708])
    """,
)
