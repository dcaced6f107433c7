"""PyTorch's faces of pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.engine.core.shape import pair
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import S, t
from rushlight.engine.ops.join import cat_op
from rushlight.engine.ops.pool import avg_pool, max_pool, pool_scatter

_F = ("nn.functional",)
_BOTH = ("nn.functional", "torch")


def _batched(name: str, input: Any, nd: int) -> tuple[Any, bool]:
    if input.dim() == nd + 2:
        return input, False
    if input.dim() == nd + 1:
        return input.unsqueeze(0), True
    raise RuntimeError(
        f"{name}: Expected {nd + 1}D or {nd + 2}D tensor as input, but got input of size: "
        f"{list(input.shape)}"
    )


def _max(
    nd: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    x, single = _batched(f"max_pool{nd}d", input, nd)
    kernel = pair(kernel_size, nd, "kernel_size")
    steps = kernel if stride is None or stride == () else pair(stride, nd, "stride")
    values, indices = max_pool(
        x, kernel=kernel, stride=steps, padding=pair(padding, nd, "padding"),
        dilation=pair(dilation, nd, "dilation"), ceil=bool(ceil_mode),
    )  # fmt: skip
    if single:
        values, indices = values.squeeze(0), indices.squeeze(0)
    return (values, indices) if return_indices else values


def _make_max(nd: int, size: tuple[int, ...]) -> None:
    def pool(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        return _max(
            nd, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )

    def with_indices(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = True,
    ) -> Any:  # fmt: skip
        return _max(nd, input, kernel_size, stride, padding, dilation, ceil_mode, True)

    samples = (
        S(t(2, 3, *size), 2),
        S(t(2, 3, *size), 3, 2, 1),
        S(t(3, *size), 2, 1, 0, 2),
        S(t(1, 2, *size), 3, 2, 1, 1, True),
    )
    pool.__doc__ = (
        f"The largest element of every window of a {nd}-d signal (N, C, ...).\n\n"
        "    >>> import rushlight as torch\n"
        f"    >>> torch.nn.functional.max_pool{nd}d(torch.ones(1, 1{', 2' * nd}), 2).item()\n"
        "    1.0\n    "
    )
    with_indices.__doc__ = f"``max_pool{nd}d`` together with the flat places of the elements."
    composite(name=f"max_pool{nd}d", namespaces=_BOTH, samples=samples)(pool)
    composite(name=f"max_pool{nd}d_with_indices", namespaces=_F, samples=samples[:1])(with_indices)


def _make_avg(nd: int, size: tuple[int, ...]) -> None:
    def pool(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: Any = None,
    ) -> Any:  # fmt: skip
        x, single = _batched(f"avg_pool{nd}d", input, nd)
        kernel = pair(kernel_size, nd, "kernel_size")
        y = avg_pool(
            x, kernel=kernel,
            stride=kernel if stride is None or stride == () else pair(stride, nd, "stride"),
            padding=pair(padding, nd, "padding"), ceil=bool(ceil_mode),
            count_padding=bool(count_include_pad), divisor=divisor_override,
        )  # fmt: skip
        return y.squeeze(0) if single else y

    pool.__doc__ = (
        f"The mean of every window of a {nd}-d signal (N, C, ...).\n\n"
        "    >>> import rushlight as torch\n"
        f"    >>> torch.nn.functional.avg_pool{nd}d(torch.ones(1, 1{', 2' * nd}), 2).item()\n"
        "    1.0\n    "
    )
    samples = (
        S(t(2, 3, *size), 2),
        S(t(2, 3, *size), 3, 2, 1),
        S(t(2, 3, *size), 3, 2, 1, True, False),
        S(t(3, *size), 2, 1),
    )
    composite(name=f"avg_pool{nd}d", namespaces=_F, samples=samples)(pool)


def _adaptive_slices(size: int, wanted: int) -> list[tuple[int, int]]:
    return [(i * size // wanted, -(-(i + 1) * size // wanted)) for i in range(wanted)]


def _adaptive(nd: int, input: Any, output_size: Any, reduce: Callable[[Any], Any]) -> Any:
    """Split every axis into nearly equal parts and reduce each part."""
    x, single = _batched(f"adaptive_pool{nd}d", input, nd)
    wanted = [output_size] * nd if isinstance(output_size, int) else list(output_size)
    sizes = [x.shape[2 + a] if wanted[a] is None else wanted[a] for a in range(nd)]
    even = all(n % m == 0 for n, m in zip(x.shape[2:], sizes, strict=True))
    if even:
        kernel = tuple(n // m for n, m in zip(x.shape[2:], sizes, strict=True))
        y = reduce((x, kernel))
    else:
        y = _uneven(x, sizes, 0, reduce)
    if single:
        return tuple(part.squeeze(0) for part in y) if isinstance(y, tuple) else y.squeeze(0)
    return y


def _uneven(x: Any, sizes: list[int], axis: int, reduce: Callable[[Any], Any]) -> Any:
    if axis == len(sizes):
        return reduce((x, tuple(x.shape[2:])))
    rows = [
        _uneven(x.narrow(2 + axis, start, stop - start), sizes, axis + 1, reduce)
        for start, stop in _adaptive_slices(x.shape[2 + axis], sizes[axis])
    ]
    return cat_op(*rows, dim=2 + axis)


def _average(where: Any) -> Any:
    x, kernel = where
    return avg_pool(
        x, kernel=kernel, stride=kernel, padding=(0,) * len(kernel), ceil=False,
        count_padding=True, divisor=None,
    )  # fmt: skip


def _largest(where: Any) -> Any:
    x, kernel = where
    zero = (0,) * len(kernel)
    one = (1,) * len(kernel)
    return max_pool(x, kernel=kernel, stride=kernel, padding=zero, dilation=one, ceil=False)[0]


def _make_adaptive(nd: int, size: tuple[int, ...]) -> None:
    def average(input: Any, output_size: Any) -> Any:
        return _adaptive(nd, input, output_size, _average)

    def largest(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        y = _adaptive(nd, input, output_size, _largest)
        if not return_indices:
            return y
        raise NotImplementedError(
            f"adaptive_max_pool{nd}d: return_indices=True is not supported; use max_pool{nd}d"
        )

    for name, function in (("avg", average), ("max", largest)):
        function.__doc__ = (
            f"Pool a {nd}-d signal to a given size, by the {name} of nearly equal parts.\n\n"
            "    >>> import rushlight as torch\n"
            f"    >>> x = torch.ones(1, 1{', 4' * nd})\n"
            f"    >>> torch.nn.functional.adaptive_{name}_pool{nd}d(x, 1).item()\n"
            "    1.0\n    "
        )
        composite(
            name=f"adaptive_{name}_pool{nd}d",
            namespaces=_F,
            samples=(S(t(2, 3, *size), 1), S(t(2, 3, *size), 2), S(t(3, *size), 3)),
        )(function)


for _nd, _size in ((1, (7,)), (2, (7, 6)), (3, (5, 6, 5))):
    _make_max(_nd, _size)
    _make_avg(_nd, _size)
    _make_adaptive(_nd, _size)


def _unpool(nd: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any,
            output_size: Any) -> Any:  # fmt: skip
    kernel = pair(kernel_size, nd)
    steps = kernel if stride is None else pair(stride, nd)
    around = pair(padding, nd)
    if output_size is None:
        rows = zip(input.shape[-nd:], steps, kernel, around, strict=True)
        size = tuple((n - 1) * s + k - 2 * p for n, s, k, p in rows)
    else:
        size = tuple(output_size)[-nd:]
    x, single = _batched(f"max_unpool{nd}d", input, nd)
    places = indices.unsqueeze(0) if single else indices
    y = pool_scatter(x, places, shape=(*x.shape[:2], *size))
    return y.squeeze(0) if single else y


@composite(namespaces=_F)
def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    output_size: Any = None,
) -> Any:  # fmt: skip
    """Put the elements of a ``max_pool2d`` back to their places, zeros elsewhere.

    >>> import rushlight as torch
    >>> F = torch.nn.functional
    >>> y, places = F.max_pool2d(torch.tensor([[[[1.0, 4.0], [2.0, 3.0]]]]), 2, return_indices=True)
    >>> F.max_unpool2d(y, places, 2)
    tensor([[[[0., 4.],
              [0., 0.]]]])
    """
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


@composite(namespaces=_F)
def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    output_size: Any = None,
) -> Any:  # fmt: skip
    """Put the elements of a ``max_pool1d`` back to their places, zeros elsewhere."""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def _power(x: Any, norm_type: float, nd: int, kernel_size: Any, stride: Any, ceil: bool) -> Any:
    kernel = pair(kernel_size, nd)
    steps = kernel if stride is None else pair(stride, nd)
    batched, single = _batched(f"lp_pool{nd}d", x, nd)
    mean = avg_pool(
        batched.pow(norm_type), kernel=kernel, stride=steps, padding=(0,) * nd, ceil=ceil,
        count_padding=True, divisor=1,
    )  # fmt: skip
    y = (mean.sign() * mean.abs().relu()).pow(1.0 / norm_type)
    return y.squeeze(0) if single else y


@composite(namespaces=_F, samples=(S(t(2, 3, 6, 6, low=0.1), 2.0, 2),))
def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """The p-norm of every window of images (N, C, H, W).

    >>> import rushlight as torch
    >>> torch.nn.functional.lp_pool2d(torch.ones(1, 1, 2, 2), 2.0, 2).item()
    2.0
    """
    return _power(input, norm_type, 2, kernel_size, stride, ceil_mode)


@composite(namespaces=_F, samples=(S(t(2, 3, 6, low=0.1), 2.0, 2),))
def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """The p-norm of every window of signals (N, C, L)."""
    return _power(input, norm_type, 1, kernel_size, stride, ceil_mode)

