"""oneDNN's objects with owners: memory descriptors, memories, primitives, reorders."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn

DATA_TYPES = {
    "float16": onednn.FLOAT16,
    "bfloat16": onednn.BFLOAT16,
    "float32": onednn.FLOAT32,
    "int32": onednn.INT32,
    "uint8": onednn.UINT8,
}
_numbers: dict[np.dtype[Any], int] = {}

#: What the names of implementations begin with that oneDNN keeps for completeness: NumPy is faster.
SLOW = "ref"


class Owned:
    """An object of oneDNN's that is given back when its last user is gone."""

    __slots__ = ("_destroy", "address")

    def __init__(self, address: int, destroy: str | None) -> None:
        self.address = address
        self._destroy = None if destroy is None else onednn.library().function(destroy, brief=True)

    def __del__(self) -> None:
        destroy = getattr(self, "_destroy", None)
        if destroy is not None:
            destroy(self.address)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the elements of an array lie, as oneDNN describes it; equal ones compare equal.

    Attributes:
        shape: the array's sizes.
        strides: steps in elements along each axis, between blocks where an axis has blocks.
        padded: the sizes rounded up to whole blocks; what is beyond the shape holds zeros.
        blocks: sizes of the blocks that lie innermost, outer ones first.
        axes: which axis each block is cut from.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    padded: tuple[int, ...]
    blocks: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def plain(self) -> bool:
        """Whether strides alone describe it."""
        return not self.blocks


class Descriptor(Owned):
    """Sizes, element type and layout of one array."""

    __slots__ = ("owner",)

    def __init__(self, address: int, owner: Owned | None = None) -> None:
        super().__init__(address, "memory_desc_destroy" if owner is None else None)
        self.owner = owner

    @property
    def bytes(self) -> int:
        """Size of the memory that such an array needs, padding of blocked layouts included."""
        size: int = onednn.library().function("memory_desc_get_size")(self.address)
        return size

    @property
    def layout(self) -> Layout:
        """Where its elements lie."""
        query = onednn.library().function("memory_desc_query")

        def number(what: int) -> int:
            made = ctypes.c_int()
            query(self.address, what, ctypes.byref(made))
            return made.value

        def numbers(what: int, count: int) -> tuple[int, ...]:
            made = ctypes.POINTER(ctypes.c_int64)()
            query(self.address, what, ctypes.byref(made))
            return tuple(made[:count]) if count else ()

        rank, blocks = number(onednn.QUERY_RANK), number(onednn.QUERY_BLOCKS)
        return Layout(
            numbers(onednn.QUERY_SHAPE, rank),
            numbers(onednn.QUERY_STRIDES, rank),
            numbers(onednn.QUERY_PADDED, rank),
            numbers(onednn.QUERY_BLOCK_SIZES, blocks),
            numbers(onednn.QUERY_BLOCK_AXES, blocks),
        )

    def same_layout(self, other: Descriptor) -> bool:
        """Whether memory of one can be used as the other."""
        equal = onednn.library().function("memory_desc_equal")
        return bool(equal(self.address, other.address))


def dimensions(values: Sequence[int]) -> Any:
    """``values`` as oneDNN takes lists of sizes."""
    return onednn.Dimensions(*values)


def data_type(dtype: np.dtype[Any]) -> int:
    """oneDNN's number for ``dtype``.

    Raises:
        Unsupported: oneDNN does not compute in this type.
    """
    found = _numbers.get(dtype)
    if found is None:
        found = DATA_TYPES.get(dtype.name)  # NumPy puts the name together each time
        if found is None:
            raise onednn.Unsupported(f"oneDNN does not compute in {dtype.name}")
        _numbers[dtype] = found
    return found


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides, in elements, of a C-contiguous array."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def channels_last_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides, in elements, of an array (N, C, ...) whose channels lie next to each other."""
    moved = contiguous_strides((shape[0], *shape[2:], shape[1]))
    return (moved[0], moved[-1], *moved[1:-1])


def _descriptor(kind: str, shape: Sequence[int], dtype: np.dtype[Any], layout: Any) -> Descriptor:
    if len(shape) > onednn.MAX_DIMENSIONS:
        raise onednn.Unsupported(f"oneDNN has {onednn.MAX_DIMENSIONS} dimensions, not {len(shape)}")
    head = (len(shape), dimensions(shape), data_type(dtype))
    try:
        return Descriptor(onednn.library().create(f"memory_desc_create_with_{kind}", *head, layout))
    except onednn.OneDNNError as error:
        raise onednn.Unsupported(f"{tuple(shape)} {dtype}: {error}") from error


def strided(
    shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int] | None = None
) -> Descriptor:
    """A layout given by strides in elements; C-contiguous by default."""
    steps = contiguous_strides(shape) if strides is None else strides
    return _descriptor("strides", shape, dtype, dimensions(steps))


def any_layout(shape: Sequence[int], dtype: np.dtype[Any]) -> Descriptor:
    """Leaves the layout to the primitive; what it chose is asked with `Description.argument`."""
    return _descriptor("tag", shape, dtype, onednn.FORMAT_ANY)


class Memory(Owned):
    """A place for one array; where it lies is set before each execution."""

    __slots__ = ()

    def __init__(self, descriptor: Descriptor) -> None:
        library = onednn.library()
        made = library.create("memory_create", descriptor.address, library.engine, None)
        super().__init__(made, "memory_destroy")


class Description(Owned):
    """What a primitive will do, and how: oneDNN's choice of implementation and layouts.

    Args:
        name: the function that makes it, without ``dnnl_`` and ``_primitive_desc_create``.
        arguments: what that function takes after the engine and before the attributes.
        attributes: what is done to its result, see `attributes_for`.
    """

    __slots__ = ()

    def __init__(self, name: str, *arguments: Any, attributes: Owned | None = None) -> None:
        library = onednn.library()
        plain = [a.address if isinstance(a, Owned) else a for a in arguments]
        if name != "reorder":
            plain.insert(0, library.engine)
        function = f"{name}_primitive_desc_create"
        try:
            given = library.attributes if attributes is None else attributes.address
            made = library.create(function, *plain, given)
        except onednn.OneDNNError as error:
            raise onednn.Unsupported(str(error)) from error
        super().__init__(made, "primitive_desc_destroy")

    @property
    def implementation(self) -> str:
        """oneDNN's name for the code it chose, such as ``jit:avx2``."""
        name = ctypes.c_char_p()
        onednn.library().call(
            "primitive_desc_query", self.address, onednn.QUERY_IMPLEMENTATION, 0, ctypes.byref(name)
        )
        return (name.value or b"").decode()

    def argument(self, kind: int) -> Descriptor:
        """The layout of one argument, such as ``onednn.SRC`` or ``onednn.SCRATCHPAD``."""
        query = onednn.library().function("primitive_desc_query_md")
        return Descriptor(query(self.address, onednn.QUERY_ARGUMENT, kind) or 0, self)

    def advance(self) -> bool:
        """Take oneDNN's next implementation; false (and no description any more) at the end."""
        return not onednn.library().function("primitive_desc_next_impl")(self.address)

    def require_fast(self) -> Description:
        """This description.

        Raises:
            Unsupported: all that oneDNN has for it is slow reference code.
        """
        name = self.implementation
        if name.startswith(SLOW):
            raise onednn.Unsupported(f"oneDNN has only reference code ({name})")
        return self


class Primitive(Owned):
    """Compiled code for a description, with the memories it works on."""

    __slots__ = ("_memories", "arguments", "count", "description")

    def __init__(self, description: Description, memories: dict[int, Memory]) -> None:
        made = onednn.library().create("primitive_create", description.address)
        super().__init__(made, "primitive_destroy")
        self.description = description
        self._memories = memories
        self.count = len(memories)
        self.arguments = (onednn.Argument * self.count)(
            *(onednn.Argument(kind, memory.address) for kind, memory in memories.items())
        )


def reorder(source: Descriptor, target: Descriptor) -> Description:
    """The copy of an array from one layout into another."""
    engine = onednn.library().engine
    return Description("reorder", source, engine, target, engine)


def warm_up() -> None:
    """Make a primitive that nobody needs, so that the library has done what it does only once."""
    kind, shape = np.dtype(np.float32), (4, 4)
    source, target = strided(shape, kind), strided(shape, kind, (1, 4))
    memories = {onednn.SRC: Memory(source), onednn.DST: Memory(target)}
    Primitive(reorder(source, target), memories)


@contextmanager
def thread_count(count: int) -> Iterator[None]:
    """Makes or runs primitives on ``count`` threads."""
    library = onednn.library()
    before = library.max_threads()
    library.set_threads(count)
    try:
        yield
    finally:
        library.set_threads(before)


#: The elementwise functions, which can follow a result: oneDNN's number, and its two parameters.
FUNCTIONS: dict[str, tuple[int, float, float]] = {
    "relu": (onednn.RELU, 0.0, 0.0),
    "tanh": (onednn.TANH, 0.0, 0.0),
    "sigmoid": (onednn.LOGISTIC, 0.0, 0.0),
    "gelu": (onednn.GELU_ERF, 0.0, 0.0),
    "gelu_tanh": (onednn.GELU_TANH, 0.0, 0.0),
    "silu": (onednn.SWISH, 1.0, 0.0),
    "elu": (onednn.ELU, 1.0, 0.0),
    "hardswish": (onednn.HARDSWISH, 1 / 6, 0.5),
    "relu6": (onednn.CLIP, 0.0, 6.0),
}

#: What can be done with a second array.
BINARIES = {"add": onednn.BINARY_ADD, "mul": onednn.BINARY_MUL}


def attributes_for(steps: Sequence[tuple[Any, ...]]) -> Owned:
    """The attributes of a primitive whose result is worked on further, step by step.

    Args:
        steps: ``("relu",)`` or another of `FUNCTIONS`, ``("scale", number)``, ``("sum",)`` for
            the elements that are in the result's memory before, ``("add", descriptor)`` or
            ``("mul", descriptor)`` for a second array that broadcasts.
    """
    library = onednn.library()
    made = Owned(library.create("primitive_attr_create"), "primitive_attr_destroy")
    library.call("primitive_attr_set_scratchpad_mode", made.address, onednn.SCRATCHPAD_FROM_USER)
    chain = Owned(library.create("post_ops_create"), "post_ops_destroy")
    for name, *given in steps:
        if name in FUNCTIONS:
            library.call("post_ops_append_eltwise", chain.address, *FUNCTIONS[name])
        elif name == "scale":
            library.call("post_ops_append_eltwise", chain.address, onednn.LINEAR, given[0], 0.0)
        elif name == "sum":
            library.call("post_ops_append_sum", chain.address, 1.0, 0, 0)
        elif name in BINARIES:
            library.call("post_ops_append_binary", chain.address, BINARIES[name], given[0].address)
        else:
            raise onednn.Unsupported(f"nothing called {name!r} can follow a primitive")
    library.call("primitive_attr_set_post_ops", made.address, chain.address)
    return made
