"""PyTorch's faces of pooling."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rushlight.engine.core.shape import Shape, pair
from rushlight.engine.ir.op import MAX_SPECS, Op, composite
from rushlight.engine.ir.samples import ErrorSample, S, Sample, t
from rushlight.engine.ops.pool import (
    adaptive_max_pool2,
    adaptive_max_pool3,
    check_parts,
    max_pool,
    max_pool3,
)
from rushlight.engine.ops.pool_average import (
    adaptive_avg_pool2,
    adaptive_avg_pool3,
    avg_pool,
    avg_pool3,
)

_F = ("nn.functional",)
_BOTH = ("nn.functional", "torch")
_WORDS = {1: "one", 2: "two", 3: "three"}


def _numbers(name: str, argument: str, value: Any, nd: int) -> Shape:
    """One number, or one for each axis."""
    if not hasattr(value, "__index__") and len(value) not in (1, nd):
        if name == "max_pool1d":
            raise RuntimeError(
                f"max_pool1d() {argument} must be an int, list of ints or tuple of ints of size 1 "
                f"but got size {len(value)}"
            )
        if nd == 1:
            raise RuntimeError(
                f"{name}() argument '{argument}' should contain one int (got {len(value)})"
            )
        raise RuntimeError(
            f"{name}: {argument} must either be a single int, or a tuple of {_WORDS[nd]} ints"
        )
    return pair(value if not hasattr(value, "__index__") else int(value), nd, argument)


def _check_input(name: str, input: Any, nd: int) -> None:
    """Refuse what is neither (C, ...) nor (N, C, ...), and axes without elements but the batch."""
    ranks = f"{nd + 1}D or {nd + 2}D (batch mode) tensor"
    shape = tuple(input.shape)
    if len(shape) not in (nd + 1, nd + 2):
        if nd == 1:
            prefix = f"{name}: " if name.startswith("max") else ""
            raise RuntimeError(
                f"{prefix}Expected {ranks} with optional 0 dim batch size for input, but got:"
                f"{list(shape)}"
            )
        raise RuntimeError(f"non-empty {ranks} expected for input")
    if 0 not in shape[-nd - 1 :]:
        return
    if nd == 3:
        kind = "max_pool3d_with_indices_out_cpu_template" if "max" in name else name
        raise RuntimeError(
            f"{kind}(): Expected input's non-batch dimensions to have positive length, but input "
            f"has a shape of {list(shape)} and non-batch dimension 0 has length zero!"
        )
    prefix = "max_pool1d: " if name == "max_pool1d" else ""
    raise RuntimeError(
        f"{prefix}Expected {ranks} with optional 0 dim batch size for input, but got:{list(shape)}"
    )


def _check_windows(
    name: str, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape
) -> None:
    """Refuse windows without elements, steps of nothing and padding that fills a window."""
    if name == "max_pool1d":
        for what, value in (("kernel_size", kernel), ("stride", stride), ("dilation", dilation)):
            if value[0] <= 0:
                raise RuntimeError(
                    f"max_pool1d() {what} must be greater than zero, but got {value[0]}"
                )
        if padding[0] < 0:
            raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {padding[0]}")
        if padding[0] > kernel[0] // 2:
            raise RuntimeError(
                f"max_pool1d() padding should be at most half of kernel size, but got padding="
                f"{padding[0]} and kernel_size={kernel[0]}"
            )
    if 0 in stride:
        raise RuntimeError("stride should not be zero")
    if min(kernel) <= 0:
        named = zip("TWH"[-len(kernel) :], kernel, strict=True)
        shown = " ".join(f"k{axis}: {k}" for axis, k in named)
        raise RuntimeError(f"kernel size should be greater than zero, but got {shown}")
    if min(dilation) <= 0:
        named = zip("THW"[-len(kernel) :], dilation, strict=True)
        shown = " ".join(f"dilation{axis}: {d}" for axis, d in named)
        raise RuntimeError(f"dilation should be greater than zero, but got {shown}")
    for k, p in zip(kernel, padding, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > k // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={dilation[0]}"
            )


def _absent(stride: Any) -> bool:
    return stride is None or (isinstance(stride, (tuple, list)) and len(stride) == 0)


def _lifted(nd: int, *parts: Shape) -> tuple[Shape, ...]:
    """The numbers of a 1-d window as those of a 2-d one of height 1."""
    if nd > 1:
        return parts
    neutral = {0: 1, 1: 1, 2: 0, 3: 1}  # kernel, stride, padding, dilation
    return tuple((neutral[i], *part) for i, part in enumerate(parts))


Windows = tuple[Shape, Shape, Shape, Shape]


@lru_cache(maxsize=1024)
def _windows(
    name: str, nd: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> Windows:
    """Kernel, stride, padding and dilation as tuples, checked; 1-d ones as 2-d of height 1."""
    kernel = _numbers(name, "kernel_size", kernel_size, nd)
    steps = kernel if _absent(stride) else _numbers(name, "stride", stride, nd)
    around = _numbers(name, "padding", padding, nd)
    spread = _numbers(name, "dilation", dilation, nd)
    _check_windows(name, kernel, steps, around, spread)
    made = _lifted(nd, kernel, steps, around, spread)
    return made[0], made[1], made[2], made[3]


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# the largest element ---------------------------------------------------------------------------


#: Recording functions by what they were called with.
_recorders: dict[Any, Callable[..., Any]] = {}


def _remember(recorder: Callable[..., Any], input: Any, *arguments: Any) -> None:
    """Let the next call with these arguments go to ``recorder`` at once."""
    if any(isinstance(x, list) for x in arguments):
        return
    if len(_recorders) > MAX_SPECS:
        _recorders.clear()
    _recorders[(input._value.meta, *arguments)] = recorder


def _max(
    nd: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    if not return_indices:
        try:
            key = input._value.meta, nd, kernel_size, stride, padding, dilation, ceil_mode
            recorder = _recorders.get(key)
        except (AttributeError, TypeError):
            recorder = None  # no tensor, or numbers in a list
        if recorder is not None:
            return recorder(input)
    name = f"max_pool{nd}d"
    kernel, steps, around, spread = _windows(
        name, nd, _hashable(kernel_size), _hashable(stride), _hashable(padding),
        _hashable(dilation),
    )  # fmt: skip
    _check_input(name, input, nd)
    op = max_pool3 if nd == 3 else max_pool
    if nd > 1 and not return_indices:
        recorder = op.fixed(kernel, steps, around, spread, bool(ceil_mode))
        values = recorder(input)
        _remember(recorder, input, nd, kernel_size, stride, padding, dilation, ceil_mode)
        return values
    x = input.unsqueeze(-2) if nd == 1 else input
    values, indices = op(
        x, kernel=kernel, stride=steps, padding=around, dilation=spread, ceil=bool(ceil_mode)
    )
    if nd == 1:
        values = values.squeeze(-2)
        indices = indices.squeeze(-2) if return_indices else None
    return (values, indices) if return_indices else values


_SIZES: dict[int, Shape] = {1: (7,), 2: (7, 6), 3: (5, 6, 5)}


def _max_doc(nd: int) -> str:
    return f"""The largest element of every window of a {nd}-d signal.

    Args:
        input: (N, C, ...) or (C, ...), with {nd} spatial axes.
        kernel_size: the size of the windows, one number or one for each spatial axis.
        stride: steps between windows, their size by default.
        padding: what is added at both ends (no element is smaller).
        dilation: steps between the elements of a window.
        ceil_mode: keep a last window that does not fit entirely.
        return_indices: also give the flat places of the elements.

    See https://pytorch.org/docs/stable/generated/torch.nn.MaxPool{nd}d.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.max_pool{nd}d(torch.ones(1, 1{", 2" * nd}), 2).item()
    1.0
    """


def _make_max(nd: int) -> None:
    def pool(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        return _max(
            nd, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )

    def with_indices(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        return _max(nd, input, kernel_size, stride, padding, dilation, ceil_mode, True)

    size = _SIZES[nd]
    samples = (
        S(t(2, 3, *size), 2),
        S(t(2, 3, *size), 3, 2, 1),
        S(t(3, *size), 2, 1, 0, 2),
        S(t(1, 2, *size), 3, 2, 1, 1, True),
        S(t(1, 2, *size), 2, return_indices=True),
    )
    x = t(1, 2, *size)
    errors = (
        ErrorSample(S(x, 2, 1, 2), RuntimeError, "should be at most half of"),
        ErrorSample(S(x, 2, 1, -1), RuntimeError, "must be non-negative, but got"),
        ErrorSample(S(x, (2,) * (nd + 1)), RuntimeError, "kernel_size must"),
        ErrorSample(S(t(2, 0, *size), 2), RuntimeError, "but "),
        ErrorSample(S(t(3), 2), RuntimeError, "tensor"),
        ErrorSample(S(x, 9), RuntimeError, "utput size"),
    )
    pool.__doc__ = _max_doc(nd)
    with_indices.__doc__ = f"""``max_pool{nd}d`` together with the flat places of the elements.

    >>> import rushlight as torch
    >>> F = torch.nn.functional
    >>> F.max_pool{nd}d_with_indices(torch.ones(1, 1{", 2" * nd}), 2)[1].item()
    0
    """
    composite(name=f"max_pool{nd}d", namespaces=_BOTH, samples=samples, errors=errors)(pool)
    composite(
        name=f"max_pool{nd}d_with_indices",
        namespaces=_BOTH if nd == 1 else _F,
        samples=samples[:2],
    )(with_indices)


# the mean --------------------------------------------------------------------------------------


def _avg(
    nd: int, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Any:  # fmt: skip
    name = f"avg_pool{nd}d"
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    kernel, steps, around, _ = _windows(
        name, nd, _hashable(kernel_size), _hashable(stride), _hashable(padding), 1
    )
    _check_input(name, input, nd)
    op = avg_pool3 if nd == 3 else avg_pool
    x = input.unsqueeze(-2) if nd == 1 else input
    y = op(
        x, kernel=kernel, stride=steps, padding=around, ceil=bool(ceil_mode),
        count_padding=bool(count_include_pad), divisor=divisor_override,
    )  # fmt: skip
    return y.squeeze(-2) if nd == 1 else y


def _avg_doc(nd: int) -> str:
    return f"""The mean of every window of a {nd}-d signal.

    Args:
        input: (N, C, ...) or (C, ...), with {nd} spatial axes.
        kernel_size: the size of the windows, one number or one for each spatial axis.
        stride: steps between windows, their size by default.
        padding: zeros added at both ends.
        ceil_mode: keep a last window that does not fit entirely.
        count_include_pad: whether the zeros count.

    See https://pytorch.org/docs/stable/generated/torch.nn.AvgPool{nd}d.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.avg_pool{nd}d(torch.ones(1, 1{", 2" * nd}), 2).item()
    1.0
    """


def _make_avg(nd: int) -> None:
    def line(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        ceil_mode: bool = False, count_include_pad: bool = True,
    ) -> Any:  # fmt: skip
        return _avg(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)

    def pool(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
        ceil_mode: bool = False, count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:  # fmt: skip
        return _avg(
            nd, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override,
        )  # fmt: skip

    size = _SIZES[nd]
    samples: tuple[Sample, ...] = (
        S(t(2, 3, *size), 2),
        S(t(2, 3, *size), 3, 2, 1),
        S(t(2, 3, *size), 3, 2, 1, True, False),
        S(t(3, *size), 2, 1),
    )
    if nd > 1:
        samples += (S(t(3, *size), 2, 1, divisor_override=3),)
    x = t(1, 2, *size)
    errors = (
        ErrorSample(S(x, 2, 1, 2), RuntimeError, "pad should be at most half of"),
        ErrorSample(S(x, 2, 1, -1), RuntimeError, "pad must be non-negative"),
        ErrorSample(S(x, 2, 0), RuntimeError, "stride should not be zero"),
        ErrorSample(S(x, 9), RuntimeError, "Output size is too small|smaller than kernel size"),
    )
    function = line if nd == 1 else pool
    function.__doc__ = _avg_doc(nd)
    composite(
        name=f"avg_pool{nd}d",
        namespaces=_BOTH if nd == 1 else _F,
        samples=samples,
        errors=errors,
    )(function)


# nearly equal parts ----------------------------------------------------------------------------


def _parts(name: str, input: Any, output_size: Any, nd: int) -> Shape:
    """The numbers of parts along each axis; ``None`` stands for the axis as it is."""
    if hasattr(output_size, "__index__"):
        return (int(output_size),) * nd
    listed = list(output_size)
    if len(listed) != nd and (nd > 1 or len(listed) != 1):
        if nd == 1:
            raise RuntimeError(
                f"{name}() argument 'output_size' should contain one int (got {len(listed)})"
            )
        raise RuntimeError(f"{name}: output_size must be {nd}")
    sizes = tuple(input.shape[-nd:])
    return tuple(n if m is None else int(m) for n, m in zip(sizes, listed, strict=True))


def _adaptive_avg(nd: int, input: Any, output_size: Any) -> Any:
    name = f"adaptive_avg_pool{nd}d"
    parts = _parts(name, input, output_size, nd)
    if nd == 1:
        if input.dim() not in (2, 3):
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {input.dim()}-dimensional tensor for "
                f"argument #1 'self' (while checking arguments for {name})"
            )
        return _adaptive_avg(2, input.unsqueeze(-2), (1, *parts)).squeeze(-2)
    axes = tuple(range(-nd, 0))
    single = all(part == 1 for part in parts)
    if single and (nd == 2 or input.shape[0]):
        # as in PyTorch, the mean of everything is an ordinary mean
        return input.mean(axes, keepdim=True)
    check_parts(name, input._value.meta, nd, nd == 3)
    return (adaptive_avg_pool2 if nd == 2 else adaptive_avg_pool3)(input, size=parts)


def _adaptive_max(nd: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    name = f"adaptive_max_pool{nd}d"
    parts = _parts(name, input, output_size, nd)
    if nd == 1 and input.dim() not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {input.dim()}-dimensional tensor for argument #1 "
            f"'self' (while checking arguments for {name})"
        )
    check_parts(name, input._value.meta, nd, True)
    if nd == 1:
        values, indices = adaptive_max_pool2(input.unsqueeze(-2), size=(1, *parts))
        values = values.squeeze(-2)
        return (values, indices.squeeze(-2)) if return_indices else values
    op: Op = adaptive_max_pool2 if nd == 2 else adaptive_max_pool3
    values, indices = op(input, size=parts)
    return (values, indices) if return_indices else values


def _adaptive_doc(nd: int, kind: str) -> str:
    return f"""Pool a {nd}-d signal to a given size: the {kind} of every one of nearly equal parts.

    Args:
        input: (N, C, ...) or (C, ...), with {nd} spatial axes.
        output_size: the number of parts, one number or one for each spatial axis; ``None`` keeps
            an axis as it is.

    >>> import rushlight as torch
    >>> x = torch.ones(1, 1{", 4" * nd})
    >>> torch.nn.functional.adaptive_{"avg" if kind == "mean" else "max"}_pool{nd}d(x, 1).item()
    1.0
    """


def _make_adaptive(nd: int) -> None:
    def average(input: Any, output_size: Any) -> Any:
        return _adaptive_avg(nd, input, output_size)

    def largest(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        return _adaptive_max(nd, input, output_size, return_indices)

    def with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        return _adaptive_max(nd, input, output_size, True)

    size = _SIZES[nd]
    samples: tuple[Any, ...] = (
        S(t(2, 3, *size), 2),
        S(t(2, 3, *size), 1),
        S(t(3, *size), 3),
        S(t(1, 2, *size), (None, 4, None)[:nd] if nd > 1 else 4),
        S(t(1, 2, *(4, 6, 2)[:nd]), (2, 3, 1)[:nd]),
    )
    average.__doc__ = _adaptive_doc(nd, "mean")
    largest.__doc__ = _adaptive_doc(nd, "largest element")
    with_indices.__doc__ = (
        f"""``adaptive_max_pool{nd}d`` together with the flat places of the elements.

    >>> import rushlight as torch
    >>> F = torch.nn.functional
    >>> F.adaptive_max_pool{nd}d_with_indices(torch.ones(1, 1{", 2" * nd}), 1)[1].item()
    0
    """
    )
    for name, function, namespaces in (
        (f"adaptive_avg_pool{nd}d", average, _BOTH if nd == 1 else _F),
        (f"adaptive_max_pool{nd}d", largest, _F),
        (f"adaptive_max_pool{nd}d_with_indices", with_indices, _F),
    ):
        composite(name=name, namespaces=namespaces, samples=samples)(function)


for _nd in (1, 2, 3):
    _make_max(_nd)
    _make_avg(_nd)
    _make_adaptive(_nd)


# powers ----------------------------------------------------------------------------------------


def _power(
    nd: int, input: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Any:
    kernel = _numbers(f"lp_pool{nd}d", "kernel_size", kernel_size, nd)
    count = 1
    for k in kernel:
        count *= k
    mean = _avg(nd, input.pow(norm_type), kernel, stride, 0, ceil_mode, True, None)
    return (mean.sign() * mean.abs().relu()).mul(count).pow(1.0 / norm_type)


def _make_power(nd: int) -> None:
    def pool(
        input: Any, norm_type: float, kernel_size: Any, stride: Any = None,
        ceil_mode: bool = False,
    ) -> Any:  # fmt: skip
        return _power(nd, input, norm_type, kernel_size, stride, ceil_mode)

    pool.__doc__ = f"""The ``norm_type``-norm of every window of a {nd}-d signal (N, C, ...).

    >>> import rushlight as torch
    >>> torch.nn.functional.lp_pool{nd}d(torch.ones(1, 1{", 2" * nd}), 1.0, 2).item()
    {2.0**nd}
    """
    samples = (
        S(t(2, 3, *_SIZES[nd], low=0.1), 2.0, 2),
        S(t(3, *_SIZES[nd], low=0.1), 3, 2, 1, True),
    )
    composite(name=f"lp_pool{nd}d", namespaces=_F, samples=samples)(pool)


for _nd in (1, 2, 3):
    _make_power(_nd)
