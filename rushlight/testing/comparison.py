"""Comparing what was computed with what was expected: ``torch.testing.assert_close``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from rushlight._creation import as_tensor
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import (
    bfloat16,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    int64,
    promote_types,
)

#: Relative and absolute tolerance by type; none for others.
TOLERANCES: dict[dtype, tuple[float, float]] = {
    float16: (0.001, 1e-5),
    bfloat16: (0.016, 1e-5),
    float32: (1.3e-6, 1e-5),
    float64: (1e-7, 1e-7),
    complex64: (1.3e-6, 1e-5),
    complex128: (1e-7, 1e-7),
}

Message = str | Callable[[str], str] | None


@dataclass(frozen=True)
class _Options:
    """What ``assert_close`` was told."""

    allow_subclasses: bool
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool
    msg: Message


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: Message = None,
) -> None:
    """Raise an error unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Args:
        actual: a tensor, an array, a number, ``None``, or lists and dictionaries of such.
        expected: the same.
        allow_subclasses: whether tensors of related classes may be compared.
        rtol: relative tolerance; with ``atol`` left out the loosest of the types' own.
        atol: absolute tolerance; given together with ``rtol``.
        equal_nan: whether two NaN count as close.
        check_device: whether the devices must be the same.
        check_dtype: whether the types must be the same.
        check_layout: whether the layouts must be the same.
        check_stride: whether the strides must be the same.
        msg: another message, or a function that makes one of the present one.

    Raises:
        AssertionError: they differ.
        TypeError: the two cannot be compared.
        ValueError: only one of ``rtol`` and ``atol`` is given.

    See https://pytorch.org/docs/stable/testing.html#torch.testing.assert_close.

    >>> import rushlight as torch
    >>> torch.testing.assert_close(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    >>> torch.testing.assert_close(1, 2)
    Traceback (most recent call last):
        ...
    AssertionError: Scalars are not equal!
    <BLANKLINE>
    Expected 2 but got 1.
    Absolute difference: 1
    Relative difference: 0.5
    """
    __tracebackhide__ = True
    options = _Options(
        allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_layout,
        check_stride, msg,
    )  # fmt: skip
    _compare(actual, expected, (), options)


def _fail(text: str, place: tuple[Any, ...], options: _Options) -> NoReturn:
    if place:
        text += f"\n\nThe failure occurred for item {''.join(f'[{key!r}]' for key in place)}"
    if options.msg is not None:
        text = options.msg if isinstance(options.msg, str) else options.msg(text)
    raise AssertionError(text)


def _compare(actual: Any, expected: Any, place: tuple[Any, ...], options: _Options) -> None:
    if _listed(actual) and _listed(expected):
        if len(actual) != len(expected):
            text = f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            _fail(text, place, options)
        for index in range(len(actual)):
            _compare(actual[index], expected[index], (*place, index), options)
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        _compare_keys(actual, expected, place, options)
        for key in sorted(actual, key=str) if _sortable(actual) else list(actual):
            _compare(actual[key], expected[key], (*place, key), options)
    else:
        _compare_pair(actual, expected, place, options)


def _listed(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _sortable(keys: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) for key in keys)


def _compare_keys(
    actual: Mapping[Any, Any], expected: Mapping[Any, Any], place: tuple[Any, ...],
    options: _Options,
) -> None:  # fmt: skip
    missing, more = expected.keys() - actual.keys(), actual.keys() - expected.keys()
    if missing or more:
        _fail(
            "The keys of the mappings do not match:\n"
            f"Missing keys in the actual mapping: {sorted(missing, key=str)}\n"
            f"Additional keys in the actual mapping: {sorted(more, key=str)}",
            place,
            options,
        )


def _compare_pair(actual: Any, expected: Any, place: tuple[Any, ...], options: _Options) -> None:
    """Compare two things that hold no others."""
    if actual is None or expected is None:
        if actual is not expected:
            _fail(f"None mismatch: {actual} is not {expected}", place, options)
    elif _all((actual, expected), (bool, np.bool_)):
        if bool(actual) is not bool(expected):
            _fail(f"Booleans mismatch: {actual} is not {expected}", place, options)
    elif _all((actual, expected), (int, float, complex, np.number)):
        _compare_numbers(actual, expected, place, options)
    elif _comparable(actual, expected, options):
        _compare_tensors(as_tensor(actual), as_tensor(expected), place, options)
    else:
        where = f"\n\nThe failure occurred for item {''.join(f'[{k!r}]' for k in place)}"
        raise TypeError(
            "No comparison pair was able to handle inputs of type "
            f"{type(actual)} and {type(expected)}.{where if place else ''}"
        )


def _all(values: Sequence[Any], kinds: tuple[type, ...]) -> bool:
    return all(isinstance(value, kinds) for value in values)


def _comparable(actual: Any, expected: Any, options: _Options) -> bool:
    """Whether two things are tensors or arrays of related classes."""
    one, other = type(actual), type(expected)
    related = issubclass(one, other) or issubclass(other, one)
    if not related or (one is not other and not options.allow_subclasses):
        return False
    return isinstance(actual, (Tensor, np.ndarray, np.generic))


def _tolerances(found: Sequence[dtype], options: _Options) -> tuple[float, float]:
    """The relative and the absolute tolerance."""
    rtol, atol = options.rtol, options.atol
    if rtol is not None and atol is not None:
        return rtol, atol
    if rtol is not None or atol is not None:
        raise ValueError(
            "Both 'rtol' and 'atol' must be either specified or omitted, but got no "
            f"{'rtol' if rtol is None else 'atol'}."
        )
    known = [TOLERANCES.get(one, (0.0, 0.0)) for one in found]
    return max(rtol for rtol, _ in known), max(atol for _, atol in known)


def _type_of_number(number: Any) -> dtype:
    if isinstance(number, (complex, np.complexfloating)):
        return complex128
    return int64 if isinstance(number, (int, np.integer)) else float64


def _compare_numbers(actual: Any, expected: Any, place: tuple[Any, ...], options: _Options) -> None:
    rtol, atol = _tolerances([_type_of_number(actual), _type_of_number(expected)], options)
    actual, expected = (x.item() if isinstance(x, np.generic) else x for x in (actual, expected))
    if options.check_dtype and type(actual) is not type(expected):
        text = f"The (d)types do not match: {type(actual)} != {type(expected)}."
        _fail(text, place, options)
    _check_numbers(actual, expected, rtol, atol, place, options)


def _check_numbers(
    actual: Any, expected: Any, rtol: float, atol: float, place: tuple[Any, ...], options: _Options
) -> None:
    if actual == expected or (options.equal_nan and actual != actual and expected != expected):
        return
    difference = abs(actual - expected)
    if np.isfinite(difference) and difference <= atol + rtol * abs(expected):
        return
    relative = float("inf") if expected == 0 else difference / abs(expected)
    title = _title("Scalars", rtol, atol)
    text = f"{title}Expected {expected} but got {actual}.\n"
    _fail(text + _differences(difference, None, relative, None, rtol, atol), place, options)


def _title(what: str, rtol: float, atol: float) -> str:
    return f"{what} are not {'equal' if rtol == 0 and atol == 0 else 'close'}!\n\n"


def _differences(
    absolute: Any, where: Any, relative: Any, where_relative: Any, rtol: float, atol: float
) -> str:
    """The two lines that tell how far apart two things are."""
    lines = []
    for kind, amount, index, bound in (
        ("absolute", absolute, where, atol), ("relative", relative, where_relative, rtol),
    ):  # fmt: skip
        if index is None:
            line = f"{kind.title()} difference: {amount}"
        else:
            line = f"Greatest {kind} difference: {amount} at index {index}"
        lines.append(line if rtol == 0 and atol == 0 else f"{line} (up to {bound} allowed)")
    return "\n".join(lines)


def _compare_tensors(
    actual: Tensor, expected: Tensor, place: tuple[Any, ...], options: _Options
) -> None:
    rtol, atol = _tolerances([actual.dtype, expected.dtype], options)
    for name, one, other, checked in (
        ("shape", actual.shape, expected.shape, True),
        ("layout", actual.layout, expected.layout, options.check_layout),
        ("stride()", actual.stride(), expected.stride(), options.check_stride),
        ("device", actual.device, expected.device, options.check_device),
        ("dtype", actual.dtype, expected.dtype, options.check_dtype),
    ):
        if checked and one != other:
            text = f"The values for attribute '{name}' do not match: {one} != {other}."
            _fail(text, place, options)
    actual, expected = actual.detach(), expected.detach()
    if actual.dtype is not expected.dtype:
        common = promote_types(actual.dtype, expected.dtype)
        actual, expected = actual.to(common), expected.to(common)
    matches = actual.isclose(expected, rtol=rtol, atol=atol, equal_nan=options.equal_nan)
    if bool(matches.all()):
        return
    if actual.ndim == 0:  # PyTorch words it as for two numbers
        one, other = actual.item(), expected.item()
        relative = float("inf") if other == 0 else abs(one - other) / abs(other)
        text = f"{_title('Scalars', rtol, atol)}Expected {other} but got {one}.\n"
        text += _differences(abs(one - other), None, relative, None, rtol, atol)
    else:
        text = _title("Tensor-likes", rtol, atol) + _mismatch(actual, expected, matches, rtol, atol)
    _fail(text, place, options)


def _mismatch(actual: Tensor, expected: Tensor, matches: Tensor, rtol: float, atol: float) -> str:
    """How many elements of two tensors differ, and where they do most."""
    count = matches.numel()
    wrong = count - int(matches.sum())
    text = f"Mismatched elements: {wrong} / {count} ({wrong / count:.1%})\n"
    if not (actual.dtype.is_floating_point or actual.dtype.is_complex):
        actual, expected = actual.to(int64), expected.to(int64)
    absolute = (actual - expected).abs()
    relative = absolute / expected.abs()
    found: list[Any] = []
    for difference in (absolute, relative):
        difference = difference.masked_fill(matches, 0).flatten()
        most = int(difference.argmax())
        place = tuple(int(i) for i in np.unravel_index(most, tuple(matches.shape)))
        found += [difference[most].item(), place]
    return text + _differences(found[0], found[1], found[2], found[3], rtol, atol)
