"""Max pooling undone, and max pooling over windows of random size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, int64
from rushlight.engine.core.shape import Shape, contiguous_strides, pair
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec, composite
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ops.pool import max_unpool2, max_unpool3, pool_scatter
from rushlight.engine.ops.random import uniform_noise

Array = np.ndarray
_F = ("nn.functional",)


def _unpooled_size(
    input: Any, kernel: Shape, stride: Shape, padding: Shape, wanted: Any
) -> Shape:
    """The size before pooling; a wanted one must be a possible one."""
    nd = len(kernel)
    rows = list(zip(tuple(input.shape)[-nd:], kernel, stride, padding, strict=True))
    default = tuple((n - 1) * s + k - 2 * p for n, k, s, p in rows)
    if min(default) < 0:
        raise ValueError(
            "max_unpooling: output_size must contain non-negative spatial dimensions, but got "
            f"output_size={list(default)}"
        )
    if wanted is None:
        return default
    size = tuple(wanted)
    if len(size) == nd + 2:
        size = size[2:]
    if len(size) != nd:
        raise ValueError(
            f"output_size should be a sequence containing {nd} or {nd + 2} elements, but it has a "
            f"length of '{len(size)}'"
        )
    for axis, (have, n, s) in enumerate(zip(size, default, stride, strict=True)):
        if not n - s < have < n + s:
            raise ValueError(
                f'invalid output_size "{size}" (dim {axis} must be between {n - s} and {n + s})'
            )
    return size


def _unpool(
    nd: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any,
    output_size: Any,
) -> Any:  # fmt: skip
    kernel = pair(kernel_size, nd)
    steps = kernel if stride is None else pair(stride, nd)
    size = _unpooled_size(input, kernel, steps, pair(padding, nd), output_size)
    if nd == 1:
        y = max_unpool2(input.unsqueeze(-1), indices.unsqueeze(-1), size=(*size, 1))
        return y.squeeze(-1)
    return (max_unpool2 if nd == 2 else max_unpool3)(input, indices, size=size)


def _make_unpool(nd: int) -> None:
    def unpool(
        input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        output_size: Any = None,
    ) -> Any:  # fmt: skip
        return _unpool(nd, input, indices, kernel_size, stride, padding, output_size)

    unpool.__doc__ = f"""Put what ``max_pool{nd}d`` picked back to its places, zeros elsewhere.

    Args:
        input: what was pooled, (N, C, ...) or (C, ...).
        indices: the places, as the pooling gives them with ``return_indices=True``.
        kernel_size, stride, padding: the pooling's.
        output_size: the size before pooling, where several are possible.

    >>> import rushlight as torch
    >>> F = torch.nn.functional
    >>> x = torch.arange({2**nd}.0).reshape(1, 1{", 2" * nd})
    >>> y, places = F.max_pool{nd}d(x, 2, return_indices=True)
    >>> F.max_unpool{nd}d(y, places, 2).flatten()[-1].item()
    {2.0**nd - 1}
    """
    places = np.arange(2**nd) * 2
    one, two = [1, 2, *[2] * nd], [2, *[2] * nd]
    samples = (
        S(t(*one), ti(*one, values=np.stack([places, places[::-1]]).ravel()), 2),
        S(t(*two), ti(*two, values=np.stack([places, places]).ravel()), 2, output_size=(5,) * nd),
        S(t(*two), ti(*two, values=np.stack([places, places]).ravel()), 3, 2, 1),
    )
    errors = (
        ErrorSample(
            S(t(*two), ti(*two, low=0, high=1), 2, output_size=(9,) * nd),
            ValueError,
            "invalid output_size",
        ),
        ErrorSample(
            S(t(*two), ti(*two, low=0, high=1), 2, output_size=(9,) * 7),
            ValueError,
            "output_size should be a sequence containing",
        ),
    )
    composite(name=f"max_unpool{nd}d", namespaces=_F, samples=samples, errors=errors)(unpool)


for _nd in (1, 2, 3):
    _make_unpool(_nd)


# windows of random size ------------------------------------------------------------------------


def _starts(samples: Array, size: int, kernel: int, out: int) -> Array:
    """Where the windows of every row begin, (rows, out); see Graham, 2014, arXiv:1412.6071."""
    made = np.full((samples.shape[0], out), size - kernel, np.int64)
    if out > 1:
        one = samples.dtype.type
        step = one(size - kernel) / one(out - 1)
        order = np.arange(out - 1, dtype=samples.dtype)
        shifted = ((order + samples[:, None]) * step).astype(np.int64)
        made[:, :-1] = shifted - (samples[:, None] * step).astype(np.int64)
    return made


def _fractional_infer(input: Meta, samples: Meta, kernel: Shape, size: Shape) -> tuple[Meta, Meta]:
    nd = len(kernel)
    if input.dtype.category != FLOATING:
        raise NotImplementedError(
            f"\"fractional_max_pool{nd}d_out_frame\" not implemented for "
            f"'{SCALAR_NAMES[input.dtype]}'"
        )
    words = ("time", "height", "width")[-nd:]
    for word, n, k, o in zip(words, input.shape[-nd:], kernel, size, strict=True):
        if o + k - 1 > n:
            raise RuntimeError(
                f"fractional_max_pool{nd}d(): pool {word} {k} too large relative to input "
                f"{word} {n}"
            )
    shape = (*input.shape[:-nd], *size)
    return make_meta(shape, input.dtype), make_meta(shape, int64)


def _fractional_kernel(
    spec: Spec, kernel: Shape, size: Shape
) -> Callable[[Array, Array], tuple[Array, Array]]:
    source = spec.inputs[0]
    assert source is not None
    nd = len(kernel)
    old, shape = tuple(source.shape[-nd:]), tuple(spec.out.shape)
    steps = contiguous_strides(old)
    # the numbers drawn belong to width and height, but to time, height and width
    drawn = (1, 0) if nd == 2 else (0, 1, 2)

    def call(x: Array, samples: Array) -> tuple[Array, Array]:
        if 0 in shape:
            return np.zeros(shape, x.dtype), np.zeros(shape, np.int64)
        flat = x.reshape(-1, prod(old))
        numbers = samples.reshape(-1, nd)  # rounded as PyTorch rounds: in their own type
        places = np.zeros((flat.shape[0], *(1,) * (2 * nd)), np.int64)
        for axis in range(nd):
            starts = _starts(numbers[:, drawn[axis]], old[axis], kernel[axis], size[axis])
            line = starts[:, :, None] + np.arange(kernel[axis])
            form = [flat.shape[0], *[1] * (2 * nd)]
            form[1 + axis], form[1 + nd + axis] = size[axis], kernel[axis]
            places = places + line.reshape(form) * steps[axis]
        places = places.reshape(flat.shape[0], prod(size), prod(kernel))
        found = np.take_along_axis(flat, places.reshape(flat.shape[0], -1), 1)
        best = found.reshape(places.shape).argmax(-1)[..., None]
        values = np.take_along_axis(found.reshape(places.shape), best, -1)
        return values.reshape(shape), np.take_along_axis(places, best, -1).reshape(shape)

    return call


def _fractional_op(nd: int) -> Op:
    def gradient(g0: Any, result1: Any, input_meta: Meta) -> Any:
        return pool_scatter(g0, result1, shape=tuple(input_meta.shape), nd=nd)

    return Op(
        f"fractional_max_pool{nd}(Tensor input, Tensor samples, int[] kernel, int[] size)",
        kind=OTHER,
        infer=_fractional_infer,
        kernel=_fractional_kernel,
        grad={"input": gradient},
        differentiable=1,
        grad_name=f"FractionalMaxPool{nd}D",
    )


_FRACTIONAL = {nd: _fractional_op(nd) for nd in (2, 3)}


def _fractional(
    nd: int, input: Any, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any
) -> tuple[Any, Any]:
    name = f"fractional_max_pool{nd}d"
    if output_size is None and output_ratio is None:
        raise ValueError(
            f"{name} requires specifying either an output_size or an output_ratio"
        )
    if input.dim() not in (nd + 1, nd + 2):
        raise RuntimeError(
            f"{name}(): Expected {nd + 1}D or {nd + 2}D tensor, but got: {list(input.shape)}"
        )
    old = tuple(input.shape[-nd:])
    for axis in range(1 if input.dim() == nd + 1 else input.dim() - nd - 1, input.dim()):
        if input.shape[axis] == 0:
            raise RuntimeError(
                f"{name}{'_out' if nd == 3 else ''}(): Expected input to have non-zero size for "
                f"non-batch dimensions, but got{list(input.shape)} with dimension {axis} being "
                "empty."
            )
    if output_size is None:
        ratios: Sequence[float] = (
            [output_ratio] * nd if isinstance(output_ratio, (int, float)) else list(output_ratio)
        )
        size = tuple(int(n * r) for n, r in zip(old, ratios, strict=True))
    else:
        size = pair(output_size, nd)
    if samples is None:
        batch = input.shape[0] if input.dim() == nd + 2 else 1
        samples = uniform_noise((batch, input.shape[-nd - 1], nd), input.dtype)
    _check_samples(samples, input, nd)
    made: tuple[Any, Any] = _FRACTIONAL[nd](
        input, samples, kernel=pair(kernel_size, nd), size=size
    )
    return made


def _check_samples(samples: Any, input: Any, nd: int) -> None:
    wanted = (input.shape[0] if input.dim() == nd + 2 else 1, input.shape[-nd - 1], nd)
    if samples.dim() != 3:
        raise RuntimeError(f"Expect _random_samples to have 3 dimensions got {samples.dim()}")
    for axis, (have, want) in enumerate(zip(samples.shape, wanted, strict=True)):
        if have < want or (axis == 2 and have != want):
            words = "equals to" if axis == 2 else "no less then input batch size:"
            raise RuntimeError(f"Expect _random_samples.size({axis}) {words} {want}; got {have}.")


def _make_fractional(nd: int) -> None:
    def pool(
        input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: Any = None,
    ) -> Any:  # fmt: skip
        made = _fractional(nd, input, kernel_size, output_size, output_ratio, _random_samples)
        return made if return_indices else made[0]

    def with_indices(
        input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: Any = None,
    ) -> Any:  # fmt: skip
        return _fractional(nd, input, kernel_size, output_size, output_ratio, _random_samples)

    pool.__doc__ = f"""The largest element of windows that begin at random places.

    See Graham, 2014, https://arxiv.org/abs/1412.6071.

    Args:
        input: (N, C, ...) or (C, ...), with {nd} spatial axes.
        kernel_size: the size of the windows.
        output_size: the number of windows along each axis, or
        output_ratio: this share of the input's size.
        return_indices: also give the flat places of the elements.

    >>> import rushlight as torch
    >>> x = torch.ones(1, 1{", 4" * nd})
    >>> torch.nn.functional.fractional_max_pool{nd}d(x, 2, output_size=1).item()
    1.0
    """
    with_indices.__doc__ = f"""``fractional_max_pool{nd}d`` together with the elements' flat places.

    >>> import rushlight as torch
    >>> x = torch.ones(1, 1{", 2" * nd})
    >>> torch.nn.functional.fractional_max_pool{nd}d_with_indices(x, 2, output_size=1)[1].item()
    0
    """
    size = (7, 6, 5)[:nd]
    drawn = t(2, 3, nd, low=0.0, high=1.0, grad=False)
    samples = (
        S(t(2, 3, *size), 2, output_size=3, _random_samples=drawn),
        S(t(2, 3, *size), 2, output_ratio=(0.5,) * nd, _random_samples=drawn),
        S(t(3, *size), 3, 2, _random_samples=t(1, 3, nd, low=0.0, high=1.0, grad=False)),
        S(t(2, 3, *size), 2, 2, None, True),
    )
    errors = (
        ErrorSample(S(t(1, 2, *size), 2), ValueError, "requires specifying either an output_size"),
        ErrorSample(S(t(1, 2, *size), 2, 7), RuntimeError, "too large relative to input"),
    )
    name = f"fractional_max_pool{nd}d"
    composite(name=name, namespaces=_F, samples=samples, errors=errors)(pool)
    composite(name=f"{name}_with_indices", namespaces=_F, samples=samples[:2])(with_indices)


for _nd in (2, 3):
    _make_fractional(_nd)
