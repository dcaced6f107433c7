"""How tensors print: PyTorch's text, made from NumPy arrays.

Three layers, each usable alone: `array_contents` turns an array into the bracketed text,
`format_array` adds the prefix and the suffixes, `tensor_repr` finds out what these are for a
tensor. A long array is first reduced to its edge items; all that follows sees only those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np

from rushlight.engine.core.dtype import get_default_dtype

Kind = Literal["float", "int", "bool", "complex"]

#: Where the classes Tensor and Parameter come from, by either name of this package.
_PACKAGES = (__name__.partition(".")[0], "torch")


@dataclass(slots=True)
class PrintOptions:
    """What `set_printoptions` sets."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PRINT_OPTS = PrintOptions()

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors print from now on; an option left out keeps its value.

    As in PyTorch, ``sci_mode`` alone goes back to automatic when it is left out, and a profile of
    an unknown name changes nothing.

    Args:
        precision: digits after the decimal point.
        threshold: the largest number of elements printed in full.
        edgeitems: how many items of each dimension's two ends a longer tensor shows.
        linewidth: characters per line.
        profile: ``'default'``, ``'short'`` or ``'full'``, applied before the other options.
        sci_mode: always (``True``), never (``False``) or where it reads better (``None``) print
            floating-point numbers in scientific notation.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.set_printoptions.html

    >>> import rushlight as torch
    >>> torch.set_printoptions(precision=2)
    >>> torch.tensor([1.12345])
    tensor([1.12])
    >>> torch.set_printoptions(profile="default")
    """
    chosen = dict(_PROFILES.get(profile, {})) if profile is not None else {}
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    chosen.update((name, value) for name, value in given.items() if value is not None)
    for name, value in chosen.items():
        setattr(PRINT_OPTS, name, value)
    PRINT_OPTS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keyword arguments for `set_printoptions`.

    >>> import rushlight as torch
    >>> torch.get_printoptions()["linewidth"]
    80
    """
    return asdict(PRINT_OPTS)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Apply `set_printoptions` with these arguments inside a ``with`` block only.

    >>> import rushlight as torch
    >>> with torch.printoptions(precision=1):
    ...     print(torch.tensor([0.25, 1.5]))
    tensor([0.2, 1.5])
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def _edges_of(array: np.ndarray, edge: int) -> tuple[np.ndarray, tuple[bool, ...]]:
    """The items of ``array`` that its summary shows, and which dimensions were cut short.

    One gather reads exactly these items, however large the array is.
    """
    cut = tuple(length > 2 * edge for length in array.shape)
    if not any(cut):
        return array, cut
    shown = [
        np.r_[0:edge, length - edge : length] if shorter else np.arange(length)
        for length, shorter in zip(array.shape, cut, strict=True)
    ]
    return array[np.ix_(*shown)], cut


def _float_format(finite: np.ndarray) -> tuple[str, str]:
    """The format of numbers among which ``finite`` are the finite ones other than zero.

    Returns:
        the format specification, and what follows a finite number ("." where all are whole).
    """
    # Without such a number PyTorch decides nothing: not even sci_mode=True applies to zeros.
    if finite.size == 0:
        return ".0f", "."
    scientific = PRINT_OPTS.sci_mode
    if scientific is None:
        magnitude = np.abs(finite)
        low, high = float(magnitude.min()), float(magnitude.max())
        scientific = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
    if scientific:
        return f".{PRINT_OPTS.precision}e", ""
    if bool((finite == np.trunc(finite)).all()):
        return ".0f", "."
    return f".{PRINT_OPTS.precision}f", ""


def _float_cells(array: np.ndarray) -> tuple[list[str], int]:
    """The text of every number, unpadded, and the width PyTorch pads them to.

    Only finite numbers other than zero count for the width, so a NaN, an infinity or a negative
    zero may stick out.
    """
    values = array.astype(np.float64).ravel()
    is_finite = np.isfinite(values)
    counts = is_finite & (values != 0)
    specification, point = _float_format(values[counts])
    cells = [format(value, specification) for value in values.tolist()]
    if point:
        cells = [
            cell + point if finite else cell
            for cell, finite in zip(cells, is_finite.tolist(), strict=True)
        ]
    width = max((len(cells[i]) for i in np.flatnonzero(counts).tolist()), default=1)
    return cells, max(width, 1)


def _complex_cells(array: np.ndarray) -> tuple[list[str], int]:
    """Real parts padded to their common width, each followed by its signed imaginary part."""
    real, real_width = _float_cells(array.real)
    imaginary, imaginary_width = _float_cells(array.imag)
    cells = [
        first.rjust(real_width) + ("" if second.startswith("-") else "+") + second + "j"
        for first, second in zip(real, imaginary, strict=True)
    ]
    return cells, real_width + imaginary_width + 1


def _plain_cells(array: np.ndarray) -> tuple[list[str], int]:
    cells = [str(value) for value in array.ravel().tolist()]
    return cells, max(map(len, cells), default=1)


def _cells(array: np.ndarray, kind: Kind) -> tuple[list[str], int]:
    """The text of every element in order, and the width by which a line's length is reckoned."""
    if kind == "complex":
        return _complex_cells(array)
    cells, width = _float_cells(array) if kind == "float" else _plain_cells(array)
    return [cell.rjust(width) for cell in cells], width


def _row(cells: list[str], cut: bool, cells_per_line: int, indent: int) -> str:
    """The innermost dimension: as many cells on a line as fit."""
    if cut:
        edge = len(cells) // 2
        cells = [*cells[:edge], " ..." if edge else "...", *cells[edge:]]
    lines = [
        ", ".join(cells[start : start + cells_per_line])
        for start in range(0, len(cells), cells_per_line)
    ]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def array_contents(array: np.ndarray, *, kind: Kind, indent: int) -> str:
    """The bracketed text of an array, without prefix and suffixes.

    Args:
        array: any shape; floating-point types of ml_dtypes are welcome.
        kind: what the elements are: ``'float'``, ``'int'``, ``'bool'`` or ``'complex'``.
        indent: the column at which the text begins, to which later lines are aligned.

    Returns:
        the text; ``'[]'`` for any array without elements.

    >>> import numpy as np
    >>> from rushlight._printing import array_contents
    >>> array_contents(np.arange(2000), kind="int", indent=0)
    '[   0,    1,    2,  ..., 1997, 1998, 1999]'
    """
    if array.size == 0:
        return "[]"
    cut: tuple[bool, ...] = (False,) * array.ndim
    if array.size > PRINT_OPTS.threshold:
        array, cut = _edges_of(array, PRINT_OPTS.edgeitems)
    cells, width = _cells(array, kind)
    if array.ndim == 0:
        return cells[0]

    *outer, length = array.shape
    row_indent = indent + len(outer)
    cells_per_line = max(1, math.floor((PRINT_OPTS.linewidth - row_indent) / (width + 2)))
    blocks = [
        _row(cells[i * length : (i + 1) * length], cut[-1], cells_per_line, row_indent)
        for i in range(math.prod(outer))
    ]
    # From the inside out: each pass joins the blocks of one dimension.
    for axis in reversed(range(len(outer))):
        separator = "," + "\n" * (len(outer) - axis) + " " * (indent + axis + 1)
        blocks = _join_blocks(blocks, outer[: axis + 1], cut[axis], separator)
    return blocks[0]


def _join_blocks(blocks: list[str], shape: list[int], cut: bool, separator: str) -> list[str]:
    """Join ``blocks``, one for each index into ``shape``, along its last dimension."""
    *outer, length = shape
    joined = []
    for i in range(math.prod(outer)):
        group = blocks[i * length : (i + 1) * length]
        if cut:
            group.insert(length // 2, "...")
        joined.append("[" + separator.join(group) + "]")
    return joined


def _with_suffixes(text: str, suffixes: Sequence[str], indent: int) -> str:
    """``text`` and its suffixes, on a new line wherever one does not fit, and the bracket."""
    parts = [text]
    # PyTorch counts one character too many, two on the first line; the lines break accordingly.
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > PRINT_OPTS.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            column = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            column += len(suffix) + 2
    parts.append(")")
    return "".join(parts)


def format_array(
    array: np.ndarray,
    *,
    kind: Kind,
    suffixes: Sequence[str],
    indent: int,
    prefix: str = "tensor(",
) -> str:
    """An array in the form PyTorch prints a tensor.

    Args:
        array: any shape; floating-point types of ml_dtypes are welcome.
        kind: what the elements are: ``'float'``, ``'int'``, ``'bool'`` or ``'complex'``.
        suffixes: what follows the elements, such as ``'dtype=torch.float64'``.
        indent: the column to which later lines are aligned: the length of the prefix.
        prefix: what precedes the elements.

    Returns:
        the whole text, the closing bracket included.

    >>> import numpy as np
    >>> from rushlight._printing import format_array
    >>> format_array(np.array([1.0, 2.5]), kind="float", suffixes=["requires_grad=True"], indent=7)
    'tensor([1.0000, 2.5000], requires_grad=True)'
    """
    contents = array_contents(array, kind=kind, indent=indent)
    return _with_suffixes(prefix + contents, suffixes, indent)


class Printable(Protocol):
    """What printing asks of a tensor; the detached tensor also has ``_numpy_for_printing()``."""

    @property
    def dtype(self) -> Any: ...
    @property
    def device(self) -> Any: ...
    @property
    def layout(self) -> Any: ...
    @property
    def requires_grad(self) -> bool: ...
    @property
    def grad_fn(self) -> Any: ...
    def size(self) -> Sequence[int]: ...
    def detach(self) -> Any: ...


def _kind_of(dtype: Any) -> Kind:
    if dtype.is_floating_point:
        return "float"
    if dtype.is_complex:
        return "complex"
    return "bool" if str(dtype) == "torch.bool" else "int"


def _shows_dtype(dtype: str, default: str, has_elements: bool) -> bool:
    """Whether the type must be named because the printed elements do not tell it."""
    if not has_elements:
        return dtype != default
    default_complex = "torch.complex128" if default == "torch.float64" else "torch.complex64"
    return dtype not in (default, default_complex, "torch.int64", "torch.bool")


def _grad_suffix(tensor: Printable) -> str | None:
    try:
        grad_fn = tensor.grad_fn
    except RuntimeError:
        # A view spoilt by an in-place write has no grad_fn to ask for; it must still print.
        return "grad_fn=<Invalid>"
    if grad_fn is not None:
        return f"grad_fn=<{type(grad_fn).__name__}>"
    return "requires_grad=True" if tensor.requires_grad else None


def _suffixes_of(tensor: Printable, default_dtype: str) -> list[str]:
    shape = tuple(tensor.size())
    is_meta = tensor.device.type == "meta"
    has_elements = 0 not in shape and not is_meta
    suffixes = []
    if tensor.device.type != "cpu":
        suffixes.append(f"device='{tensor.device}'")
    # An empty vector's text gives its shape away; a summary without edge items gives nothing.
    if is_meta or (not PRINT_OPTS.edgeitems if has_elements else len(shape) != 1):
        suffixes.append(f"size={shape}")
    if _shows_dtype(str(tensor.dtype), default_dtype, has_elements):
        suffixes.append(f"dtype={tensor.dtype}")
    if str(tensor.layout) != "torch.strided":
        suffixes.append(f"layout={tensor.layout}")
    grad = _grad_suffix(tensor)
    return suffixes if grad is None else [*suffixes, grad]


def _package_name(cls: type) -> str | None:
    """The name of one of this package's own classes; ``None`` for a user's subclass."""
    return cls.__name__ if cls.__module__.partition(".")[0] in _PACKAGES else None


def tensor_repr(
    tensor: Printable,
    *,
    tensor_contents: str | None = None,
    default_dtype: Callable[[], object] = get_default_dtype,
) -> str:
    """``repr(tensor)``; an object of a user's subclass prints under its class's name.

    Args:
        tensor: a tensor of any shape and type with a strided layout.
        tensor_contents: printed in place of the elements, which are then not read.
        default_dtype: tells the floating-point type that goes without saying.

    Returns:
        PyTorch's text for this tensor under the print options in force.

    >>> import rushlight as torch
    >>> torch.tensor([[1.0, 2.5], [3.0, 4.0]], dtype=torch.float64)
    tensor([[1.0000, 2.5000],
            [3.0000, 4.0000]], dtype=torch.float64)
    """
    cls = type(tensor)
    plain = _package_name(cls) in ("Tensor", "Parameter")
    prefix = "tensor(" if plain else f"{cls.__name__}("
    suffixes = _suffixes_of(tensor, str(default_dtype()))
    if tensor_contents is None and tensor.device.type == "meta":
        tensor_contents = "..."
    if tensor_contents is None:
        data = tensor.detach()._numpy_for_printing()
        tensor_contents = array_contents(data, kind=_kind_of(tensor.dtype), indent=len(prefix))
    text = _with_suffixes(prefix + tensor_contents, suffixes, len(prefix))
    is_parameter = any(_package_name(base) == "Parameter" for base in cls.__mro__)
    return f"Parameter({text})" if is_parameter and not plain else text


def parameter_repr(
    parameter: Printable, *, default_dtype: Callable[[], object] = get_default_dtype
) -> str:
    """``repr(parameter)``: a parameter says so on a line of its own.

    Args:
        parameter: an ``nn.Parameter``.
        default_dtype: as for `tensor_repr`.

    Returns:
        PyTorch's text for this parameter.

    >>> import rushlight as torch
    >>> torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """
    return "Parameter containing:\n" + tensor_repr(parameter, default_dtype=default_dtype)


def tensor_format(tensor: Any, format_spec: str) -> str:
    """``format(tensor, format_spec)``: a tensor without dimensions formats like its number.

    Args:
        tensor: a tensor of any shape and type.
        format_spec: what stands behind the colon in ``f"{tensor:.2f}"``.

    Returns:
        the formatted number; ``str(tensor)`` for a tensor with dimensions and for an object of
        any subclass, ``nn.Parameter`` included.

    Raises:
        TypeError: a format is given for what does not format like a number.

    >>> import rushlight as torch
    >>> f"loss {torch.tensor(0.12345):.2f}"
    'loss 0.12'
    """
    is_tensor = _package_name(type(tensor)) == "Tensor"
    if is_tensor and len(tensor.size()) == 0 and tensor.device.type != "meta":
        return format(tensor.detach().item(), format_spec)
    return object.__format__(tensor, format_spec)
