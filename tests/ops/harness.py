"""What the generated operator tests are made with: calls, the two libraries, comparison.

A sample of a record becomes a ``Call``: its arguments with arrays where tensors stand, drawn from
a seed that depends on the record and the sample alone. The same call is then realised with
rushlight's tensors and with PyTorch's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any
from zlib import crc32

import numpy as np

import rushlight
from rushlight._api import api
from rushlight._arrays import tensor_of_array
from rushlight._bind import _PROPERTIES
from rushlight.engine.core import dtype as dtypes
from rushlight.engine.ir.op import Composite, Op, Record
from rushlight.engine.ir.samples import Sample, T

try:
    import torch as oracle
except ImportError:  # the extra `oracle` is absent: recorded checks take its place
    oracle = None
else:
    oracle.set_num_threads(1)

#: Allowed error by type, relative to the mean of an element and the largest of its array.
TOLERANCE = {"float64": 1e-9, "float32": 4e-6, "float16": 2e-3, "bfloat16": 1.6e-2}
TOLERANCE |= {"complex128": TOLERANCE["float64"], "complex64": TOLERANCE["float32"]}
#: Arrays of smaller numbers than this are compared as if they held this one.
SMALLEST_SCALE = 0.1

FLOATS = ("float64", "float32", "float16", "bfloat16", "complex64", "complex128")


# records ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Face:
    """A public operator: its record, how rushlight calls it and what PyTorch compares with it."""

    record: Record
    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any] | None

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The record's sample calls."""
        return tuple(self.record.samples)

    @property
    def writes(self) -> bool:
        """Whether the operator itself writes to its first argument; it is called on a copy."""
        return _writes(self.record)


#: Operators that write without a name ending in an underscore.
WRITERS = {"__ipow__"}


def _writes(record: Record) -> bool:
    name = record.public_name
    return name in WRITERS or (name.endswith("_") and not name.endswith("__") and name != "type_")


def _on_a_copy(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that writes to its first argument, called on a copy of it."""

    def call(first: Any, *args: Any, **kwargs: Any) -> Any:
        target = first.clone()
        made = function(target, *args, **kwargs)
        assert made is target, "an in-place function must return the tensor it wrote to"
        return made

    return call


def dotted(root: Any, path: str) -> Any:
    """``root.a.b`` for ``"a.b"``, or ``None`` where there is none."""
    for part in path.split("."):
        root = getattr(root, part, None)
        if root is None:
            return None
    return root


#: Methods that stand behind a property, by name.
PROPERTIES = {method: name for name, method in _PROPERTIES.items()}


def _reference(record: Record) -> Callable[..., Any] | None:
    if oracle is None:
        return None
    if record.oracle:
        found = dotted(oracle, record.oracle)
    elif record.namespaces:
        space = record.namespaces[0]
        found = dotted(oracle, record.public_name if space == "torch" else
                       f"{space}.{record.public_name}")  # fmt: skip
    elif record.method_name in PROPERTIES:
        return attrgetter(PROPERTIES[record.method_name])
    else:
        found = dotted(oracle.Tensor, record.method_name)
    return found  # type: ignore[no-any-return]


def _face(record: Record) -> Face:
    function: Callable[..., Any]
    if record.namespaces:
        space = record.namespaces[0]
        name = record.public_name if space == "torch" else f"{space}.{record.public_name}"
        function = api.namespaces[space][record.public_name]
    elif record.method_name in PROPERTIES:
        name = f"Tensor.{PROPERTIES[record.method_name]}"
        function = attrgetter(PROPERTIES[record.method_name])
    else:
        name = f"Tensor.{record.method_name}"
        function = getattr(rushlight.Tensor, record.method_name)
    reference = _reference(record)
    if _writes(record):
        function = _on_a_copy(function)
        reference = None if reference is None else _on_a_copy(reference)
    return Face(record, name, function, reference)


def faces() -> list[Face]:
    """Every public operator, by name."""
    public: list[Record] = [op for op in Op.registry.values() if op.namespaces or op.method]
    public += Composite.registry.values()
    return sorted((_face(record) for record in public), key=lambda face: face.name)


# calls -----------------------------------------------------------------------------------------


@dataclass
class Leaf:
    """A tensor argument: its contents, its type by name, and whether it may want a gradient."""

    array: np.ndarray
    dtype: str
    grad: bool

    @property
    def differentiable(self) -> bool:
        """Whether a gradient can be asked for."""
        return self.grad and self.dtype in FLOATS


@dataclass
class Call:
    """The arguments of one call, with leaves where tensors stand."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    leaves: list[Leaf]
    sample: Sample

    def realize(
        self, make: Callable[[Leaf, int], Any], other: Callable[[Any], Any] = lambda x: x
    ) -> tuple[tuple[Any, ...], dict[str, Any], list[Any]]:
        """Arguments with ``make(leaf, number)`` for every leaf, and those tensors in order."""
        made: list[Any] = []

        def put(part: Any) -> Any:
            if isinstance(part, Leaf):
                made.append(make(part, len(made)))
                return made[-1]
            return other(part)

        args = walk(self.args, put)
        return args, walk(self.kwargs, put), made


def walk(part: Any, change: Callable[[Any], Any]) -> Any:
    """``part`` with every element of nested lists, tuples and dictionaries changed."""
    if isinstance(part, dict):
        return {key: walk(value, change) for key, value in part.items()}
    if type(part) in (list, tuple):
        return type(part)(walk(value, change) for value in part)
    return change(part)


#: A change of a sample's tensors: shapes and memory layout.
Layout = Callable[[np.ndarray, int], np.ndarray]


def numpy_type(name: str) -> np.dtype:
    """The NumPy type for a type's name."""
    return dtypes.BY_NAME[name].numpy


def dtype_for(t: T, wanted: str) -> str:
    """The type of a sample's tensor in a run over ``wanted``."""
    if t.dtype is not None:
        return t.dtype
    precise = wanted in ("float64", "complex128")
    if t.kind == "bool":
        return "bool"
    if t.kind == "complex":
        return "complex128" if precise else "complex64"
    if t.kind == "int":
        return wanted if wanted in ("int32", "uint8") else "int64"
    if wanted == "int32":
        return "float32" if t.kind == "float" else wanted
    return wanted


def draw(t: T, name: str, generator: np.random.Generator) -> np.ndarray:
    """The contents of a sample's tensor."""
    found = numpy_type(name)
    if t.values is not None:
        numbers = np.array(t.values)
        if numbers.dtype.kind == "f" and name not in FLOATS:
            numbers = np.nan_to_num(numbers, nan=0, posinf=9, neginf=0)
        return numbers.astype(found).reshape(t.shape)
    if t.kind == "bool" or (name == "bool" and t.kind != "int"):
        return generator.integers(0, 2, t.shape).astype(found)
    if t.kind == "int":
        low = max(int(t.low), 0) if name == "uint8" else int(t.low)
        return np.asarray(generator.integers(low, max(int(t.high), low + 1), t.shape)).astype(found)
    numbers = np.asarray(generator.uniform(t.low, t.high, t.shape))
    if name.startswith("complex"):
        numbers = numbers + 1j * generator.uniform(t.low, t.high, t.shape)
    elif name not in FLOATS:
        numbers = np.rint(np.abs(numbers) if name == "uint8" else numbers)
    return np.asarray(numbers).astype(found)


def make_call(
    face: Face,
    sample: Sample,
    wanted: str = "float32",
    shape: Callable[[tuple[int, ...]], tuple[int, ...]] | None = None,
    layout: Layout | None = None,
) -> Call:
    """The call a sample stands for.

    Args:
        face: the operator.
        sample: the sample.
        wanted: the type of its floating-point tensors.
        shape: other shapes for the sample's (tensors with given contents keep theirs).
        layout: another memory layout for every array, by its number.
    """
    index = next((i for i, other in enumerate(face.samples) if other is sample), 0)
    generator = np.random.default_rng(crc32(f"{face.name} {index}".encode()))
    leaves: list[Leaf] = []

    def put(part: Any) -> Any:
        if not isinstance(part, T):
            return part
        if shape is not None and part.values is None:
            part = replace(part, shape=shape(part.shape))
        name = dtype_for(part, wanted)
        array = draw(part, name, generator)
        if layout is not None:
            array = layout(array, len(leaves))
        leaf = Leaf(array, name, part.grad and part.kind != "int" and part.kind != "bool")
        leaves.append(leaf)
        return leaf

    args = walk(sample.args, put)
    return Call(args, walk(sample.kwargs, put), leaves, sample)


# the two libraries -----------------------------------------------------------------------------


def own(leaf: Leaf, grad: bool = False) -> Any:
    """Rushlight's tensor for a leaf, over the leaf's own memory."""
    made = tensor_of_array(leaf.array)
    return made.requires_grad_() if grad and leaf.differentiable else made


def theirs(leaf: Leaf, grad: bool = False) -> Any:
    """PyTorch's tensor for a leaf, over a copy of its memory with the same strides."""
    array = leaf.array
    if array.size == 0:  # from_numpy gives it strides of 0, which no PyTorch function does
        made = oracle.zeros(array.shape, dtype=getattr(oracle, leaf.dtype))
    elif leaf.dtype == "bfloat16":
        made = oracle.from_numpy(_writable(array.view(np.int16))).view(oracle.bfloat16)
    else:
        made = oracle.from_numpy(_writable(array))
    return made.requires_grad_() if grad and leaf.differentiable else made


def _writable(array: np.ndarray) -> np.ndarray:
    """A copy with the same strides that may be written to."""
    steps = [s for s, n in zip(array.strides, array.shape, strict=True) if n > 1]
    span = 1 + sum(s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True) if n > 1)
    if array.size == 0 or not steps:
        return np.array(array).reshape(array.shape)
    memory = np.zeros(span // array.itemsize + 1, array.dtype)
    made = np.lib.stride_tricks.as_strided(memory, array.shape, array.strides)
    made[...] = array
    return made


def their_word(part: Any) -> Any:
    """PyTorch's counterpart of an argument that is no tensor."""
    if isinstance(part, dtypes.dtype):
        return getattr(oracle, part.name)
    return part


def run_own(face: Face, call: Call, grad: bool = False) -> tuple[Any, list[Any]]:
    """Rushlight's result of a call, and the tensors it was computed from."""
    rushlight.manual_seed(0)
    args, kwargs, tensors = call.realize(lambda leaf, _: own(leaf, grad))
    return face.function(*args, **kwargs), tensors


def run_pending(face: Face, call: Call) -> tuple[list[Any], Sequence[Any]]:
    """Results and gradients of a call on values that are still pending; none has been read."""
    rushlight.manual_seed(0)
    args, kwargs, tensors = call.realize(lambda leaf, _: own(leaf, True))
    pairs = zip(tensors, call.leaves, strict=True)
    moved = iter([t * 1 if leaf.dtype in FLOATS else t for t, leaf in pairs])
    args, kwargs, _ = call.realize(lambda leaf, _: next(moved))
    results = tensors_in(face.function(*args, **kwargs))
    outputs = [t for t in results if t.requires_grad]
    inputs = [t for t in tensors if t.requires_grad]
    gradients: Sequence[Any] = ()
    if outputs and inputs:
        weights = [
            own(Leaf(w, dtype_name(o), False))
            for w, o in zip(cotangents(outputs, 1), outputs, strict=True)
        ]
        gradients = rushlight.autograd.grad(outputs, inputs, weights, allow_unused=True)
    return results, gradients


def run_theirs(face: Face, call: Call, grad: bool = False) -> tuple[Any, list[Any]]:
    """PyTorch's result of a call, and the tensors it was computed from."""
    oracle.manual_seed(0)
    args, kwargs, tensors = call.realize(lambda leaf, _: theirs(leaf, grad), their_word)
    assert face.reference is not None
    return face.reference(*args, **kwargs), tensors


@contextmanager
def quiet() -> Iterator[None]:
    """Neither library's warnings are what is tested here."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def attempt(run: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """The result of a call, or what it raised."""
    try:
        return run(), None
    except Exception as error:
        return None, error


# looking at results ----------------------------------------------------------------------------


def is_tensor(x: Any) -> bool:
    """Whether ``x`` is a tensor of either library."""
    return isinstance(x, rushlight.Tensor) or (oracle is not None and isinstance(x, oracle.Tensor))


def tensors_in(result: Any) -> list[Any]:
    """The tensors of a result, in order."""
    if is_tensor(result):
        return [result]
    if isinstance(result, (tuple, list)):
        return [tensor for part in result for tensor in tensors_in(part)]
    return []


def dtype_name(tensor: Any) -> str:
    """The name of a tensor's type."""
    return str(tensor.dtype).removeprefix("torch.")


def array_of(tensor: Any) -> np.ndarray:
    """The contents of a tensor of either library, half types as float32."""
    if isinstance(tensor, rushlight.Tensor):
        array = tensor.detach()._array()
        assert isinstance(array, np.ndarray), f"a result is {type(array)}, not an array"
    else:
        tensor = tensor.detach().resolve_conj().resolve_neg()
        half = tensor.dtype is oracle.bfloat16
        array = (tensor.float() if half else tensor).numpy(force=True)
    small = array.dtype.kind not in "biufc" or array.dtype == np.float16
    return array.astype(np.float32) if small else array


def assert_close(ours: np.ndarray, expected: np.ndarray, name: str, factor: float) -> None:
    """Fail where elements differ by more than the type ``name`` allows."""
    tolerance = TOLERANCE.get(name)
    if tolerance is None:
        np.testing.assert_array_equal(ours, expected)
        return
    wide: Any = np.complex128 if name.startswith("complex") else np.float64
    a, b = ours.astype(wide), expected.astype(wide)
    finite = np.isfinite(b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    scale = max(SMALLEST_SCALE, float(np.abs(b[finite]).max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= tolerance * factor * (np.abs(b) + scale) / 2
    good = same | (finite & near)
    if name.startswith("complex"):
        good = good | ~finite & ~np.isfinite(a)  # which part is NaN is nobody's promise
    if not good.all():
        with np.errstate(invalid="ignore"):
            worst = np.nanmax(np.where(good, 0, np.abs(a - b) / scale))
        raise AssertionError(
            f"{int((~good).sum())} of {good.size} elements differ, by up to {worst:.3g} of the "
            f"scale\nours:\n{ours}\nexpected:\n{expected}"
        )


def layout_of(tensor: Any) -> tuple[int, ...]:
    """The strides that matter: those of axes with several elements of a tensor with any."""
    if tensor.numel() == 0:
        return ()
    return tuple(
        s if n > 1 else 1 for s, n in zip(tensor.stride(), tuple(tensor.shape), strict=True)
    )


def compare(
    ours: Any, expected: Any, factor: float = 1.0, names: Callable[[str, str], bool] | None = None
) -> None:
    """Fail where a result differs from PyTorch's.

    Args:
        ours: rushlight's result.
        expected: PyTorch's.
        factor: multiplies the tolerance.
        names: whether two different names of ``grad_fn`` are accepted.
    """
    if not is_tensor(expected):
        _compare_plain(ours, expected, factor, names)
        return
    assert isinstance(ours, rushlight.Tensor), f"{type(ours).__name__}, not a tensor"
    assert dtype_name(ours) == dtype_name(expected), "dtype"
    assert tuple(ours.shape) == tuple(expected.shape), "shape"
    assert layout_of(ours) == layout_of(expected), (
        f"strides {ours.stride()}, PyTorch's are {expected.stride()}"
    )
    array = array_of(ours)
    assert array.shape == tuple(ours.shape), "the shape of the buffer"
    assert array.dtype.name == dtype_name(ours) or array.dtype == np.float32, "type of the buffer"
    assert_close(array, array_of(expected), dtype_name(expected), factor)
    assert ours.requires_grad == expected.requires_grad, "requires_grad"
    if names is not None:
        have, want = (type(t.grad_fn).__name__ for t in (ours, expected))
        assert have == want or names(have, want), f"grad_fn {have}, PyTorch's is {want}"


def _compare_plain(ours: Any, expected: Any, factor: float, names: Any) -> None:
    if isinstance(expected, (tuple, list)) and type(expected).__name__ != "Size":
        assert len(ours) == len(expected), f"{len(ours)} results, PyTorch gives {len(expected)}"
        kinds = (isinstance(ours, tuple), isinstance(expected, tuple))
        assert kinds[0] == kinds[1], f"{type(ours)}, PyTorch gives {type(expected)}"
        for mine, other in zip(ours, expected, strict=True):
            compare(mine, other, factor, names)
    elif isinstance(expected, float):
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
    elif isinstance(expected, (bool, int, str, complex, tuple)) or expected is None:
        assert ours == expected
    else:
        assert str(ours) == str(expected)


def cotangents(outputs: Sequence[Any], seed: int) -> list[np.ndarray]:
    """Random gradients for outputs, of their types."""
    generator = np.random.default_rng(seed)
    made = []
    for output in outputs:
        name = dtype_name(output)
        numbers = np.asarray(generator.uniform(-1, 1, tuple(output.shape)))
        if name.startswith("complex"):
            numbers = numbers + 1j * generator.uniform(-1, 1, tuple(output.shape))
        made.append(np.asarray(numbers).astype(numpy_type(name)))
    return made
