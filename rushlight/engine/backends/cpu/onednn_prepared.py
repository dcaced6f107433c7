"""Prepared operations: a primitive, the reorders around it, and the shortest way to run them.

An operation is prepared once for its shapes and called many times with arrays. Layout changes and
scratch memory are its own affair: they live in one memory shared by all operations, of which one
runs at a time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.onednn_primitive import (
    Description,
    Descriptor,
    Memory,
    Primitive,
    contiguous_strides,
    reorder,
    strided,
    thread_count,
)

#: Bytes; the widest vector registers and a cache line.
ALIGNMENT = 64

#: Microseconds below which other Python threads wait for a kernel: getting the interpreter's lock
#: back may take longer than that.
BRIEF = 50.0

#: Where an array object keeps the pointer to its data: behind the object's head, as NumPy's C
#: interface declares it. Reading it there takes a tenth of what ``array.ctypes.data`` takes.
DATA_OFFSET = object.__basicsize__
pointer_at = ctypes.c_size_t.from_address


def address(array: np.ndarray) -> int:
    """Where an array's first element lies."""
    return pointer_at(id(array) + DATA_OFFSET).value


def aligned(size: int) -> np.ndarray:
    """New memory of ``size`` bytes that begins at a multiple of the alignment."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    skip = -address(memory) % ALIGNMENT
    return memory[skip : skip + size]


class Scratch:
    """Memory for what lives only during one operation; it grows to the largest need."""

    __slots__ = ("_memory", "base", "size")

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self.base = 0
        self.size = 0

    def reserve(self, size: int) -> None:
        """Make room for ``size`` bytes; the base may move."""
        if size > self.size:
            self._memory = np.empty(0, np.uint8)  # the old one goes before the new one comes
            self._memory = np.empty(size + ALIGNMENT, np.uint8)
            self.base = -(-address(self._memory) // ALIGNMENT) * ALIGNMENT
            self.size = size


scratch = Scratch()


class Port:
    """One array of the caller's: which argument it is, and how it must lie in memory."""

    __slots__ = (
        "accumulates", "descriptor", "dtype", "kind", "output", "packed", "shape", "staged",
        "strides",
    )  # fmt: skip

    def __init__(
        self,
        kind: int,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        output: bool = False,
        strides: Sequence[int] | None = None,
        descriptor: Descriptor | None = None,
        staged: tuple[Descriptor, Descriptor] | None = None,
    ) -> None:
        """Args:
        kind: oneDNN's number of the argument.
        shape: the array's shape.
        dtype: the array's type.
        output: whether the operation writes it.
        strides: strides in elements if it is not C-contiguous.
        descriptor: how oneDNN is to see that memory, if not with the array's own shape.
        staged: the array is copied first, from the first layout into the second; then
            ``descriptor`` says how oneDNN is to see the copy.
        """
        self.kind = kind
        self.shape = tuple(shape)
        self.dtype = dtype
        self.output = output
        steps = contiguous_strides(self.shape) if strides is None else strides
        self.strides = tuple(step * dtype.itemsize for step in steps)
        self.descriptor = descriptor or strided(self.shape, dtype, strides)
        self.staged = staged
        self.accumulates = False  # whether the operation adds to what is in an output
        self.packed = False  # whether the caller has it in oneDNN's layout

    def accept(self, array: np.ndarray) -> np.ndarray:
        """``array`` if only the strides of its dimensions of size one differ, else a copy.

        Raises:
            ValueError: it has another shape or type, or is to be written and lies otherwise.
        """
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(
                f"prepared for {self.shape} {self.dtype}, got {array.shape} {array.dtype}"
            )
        pairs = zip(array.shape, array.strides, self.strides, strict=True)
        if all(have == want for size, have, want in pairs if size > 1):
            return array
        if self.output:
            raise ValueError(f"out: expected strides {self.strides}, got {array.strides}")
        span = self.dtype.itemsize + sum(
            (size - 1) * step for size, step in zip(self.shape, self.strides, strict=True)
        )
        memory = np.empty(span // self.dtype.itemsize, self.dtype)
        made = np.lib.stride_tricks.as_strided(memory, self.shape, self.strides)
        made[...] = array
        return made


class Prepared:
    """Primitives that are executed one after the other, and the memory objects they work on.

    Attributes:
        executions: address, number of arguments and address of the arguments of each primitive.
        handles: addresses of the memory objects of the caller's arrays, in their order.
        internal: the memory objects of what lives only meanwhile, with their places in the
            scratch memory.
        scratch: bytes of scratch memory.
        threads: how many threads they are made for and run with.
        base: where the scratch memory lay when it was last placed.
        pointers: where the caller's arrays lay last.
    """

    __slots__ = (
        "base", "executions", "handles", "internal", "pointers", "primitives", "scratch",
        "threads",
    )  # fmt: skip

    def __init__(self, count: int) -> None:
        self.threads = count
        self.base = -1
        self.scratch = 0
        self.handles: list[int] = []
        self.internal: list[tuple[Memory, int]] = []
        self.primitives: list[Primitive] = []
        self.executions: list[tuple[int, int, int]] = []
        self.pointers: list[int] = []

    def place(self) -> None:
        """Tell the internal memories where the scratch memory lies now."""
        scratch.reserve(self.scratch)
        set_handle = onednn.library().function("memory_set_data_handle", brief=True)
        for memory, offset in self.internal:
            set_handle(memory.address, scratch.base + offset)
        self.base = scratch.base

    @property
    def implementation(self) -> str:
        """oneDNN's names for the steps, such as ``jit:uni > jit:avx2 > jit:uni``."""
        return " > ".join(p.description.implementation for p in self.primitives)


class Kernel(Prepared):
    """A primitive between the copies that bring its arrays into other layouts.

    Args:
        describe: makes the description of the primitive in the middle.
        ports: the caller's arrays.
        count: threads it is made for and runs with.
    """

    __slots__ = ("_outside",)

    def __init__(
        self, describe: Callable[[], Description], ports: Sequence[Port], count: int
    ) -> None:
        super().__init__(count)
        with thread_count(count):
            self.primitives = self._assemble(describe(), ports)
        self.handles = [memory.address for memory in self._outside]
        self.executions = [
            (p.address, p.count, ctypes.addressof(p.arguments)) for p in self.primitives
        ]

    def _assemble(self, description: Description, ports: Sequence[Port]) -> list[Primitive]:
        """The primitive between reorders of those arrays that it wants in another layout."""
        before: list[Primitive] = []
        after: list[Primitive] = []
        arguments: dict[int, Memory] = {}
        outside: list[Memory] = []
        for port in ports:
            if port.packed:
                arguments[port.kind] = Memory(description.argument(port.kind))
                outside.append(arguments[port.kind])
                continue
            if port.staged is None:
                memory = Memory(port.descriptor)
                outside.append(memory)
            else:
                memory = self._stage(port, outside, before)
            wanted = description.argument(port.kind)
            if wanted.same_layout(port.descriptor):
                arguments[port.kind] = memory
                continue
            inner = arguments[port.kind] = self._inside(wanted)
            if port.accumulates:
                copy, ends = reorder(port.descriptor, wanted), (memory, inner)
                before.append(self._primitive(copy, {onednn.SRC: ends[0], onednn.DST: ends[1]}))
            if port.output:
                copy, ends = reorder(wanted, port.descriptor), (inner, memory)
                after.append(self._primitive(copy, {onednn.SRC: ends[0], onednn.DST: ends[1]}))
            else:
                copy, ends = reorder(port.descriptor, wanted), (memory, inner)
                before.append(self._primitive(copy, {onednn.SRC: ends[0], onednn.DST: ends[1]}))
        self._outside = outside
        return [*before, self._primitive(description, arguments), *after]

    def _stage(self, port: Port, outside: list[Memory], before: list[Primitive]) -> Memory:
        """The memory of a copy, which is made before everything else."""
        assert port.staged is not None
        source, target = port.staged
        original, copied = Memory(source), self._inside(target)
        place = self.internal[-1][1]
        outside.append(original)
        ends = {onednn.SRC: original, onednn.DST: copied}
        before.append(self._primitive(reorder(source, target), ends))
        seen = Memory(port.descriptor)
        self.internal.append((seen, place))
        return seen

    def _primitive(self, description: Description, memories: dict[int, Memory]) -> Primitive:
        pad = description.argument(onednn.SCRATCHPAD)
        if pad.address and pad.bytes:
            memories = {**memories, onednn.SCRATCHPAD: self._inside(pad)}
        return Primitive(description, memories)

    def _inside(self, descriptor: Descriptor) -> Memory:
        """A memory in the scratch memory."""
        memory = Memory(descriptor)
        self.internal.append((memory, self.scratch))
        self.scratch += -(-descriptor.bytes // ALIGNMENT) * ALIGNMENT
        return memory


class Operation:
    """A prepared operation without its Python face: `launcher` makes the function that runs it.

    Args:
        describe: makes the primitive's description, again for each number of threads.
        ports: the caller's arrays, in the order in which ``launch`` takes them.
        microseconds: what it costs on one thread, roughly.
        build: makes the primitives for a number of threads, if it takes more than ``describe``.
    """

    __slots__ = ("_build", "epoch", "kernel", "microseconds", "ports")

    def __init__(
        self,
        describe: Callable[[], Description] | None,
        ports: Sequence[Port],
        microseconds: float,
        build: Callable[[int], Prepared] | None = None,
    ) -> None:
        if build is None:
            assert describe is not None
            build = partial(Kernel, describe, ports)
        self._build = build
        self.ports = tuple(ports)
        self.microseconds = microseconds
        with threads.lock:
            self.renew()

    def accept(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """``arrays`` as the ports want them, copied where need be."""
        pairs = zip(self.ports, arrays, strict=True)
        return tuple(port.accept(array) for port, array in pairs)

    def renew(self) -> Prepared:
        """Make the kernel for the present number of threads."""
        self.epoch = threads.state.epoch
        count = threads.choose(self.microseconds)
        with thread_count(count):
            self.kernel = self._build(count)
        return self.kernel


def launcher(operation: Operation) -> Callable[..., None]:
    """The function that runs an operation on arrays, one for each port, in their order."""
    library = onednn.library()
    set_handle = library.function("memory_set_data_handle", brief=True)
    execute = library.function("primitive_execute", brief=operation.microseconds < BRIEF)
    max_threads, set_threads = library.max_threads, library.set_threads
    stream, lock, state, memory_of_all = library.stream, threads.lock, threads.state, scratch
    wants = [(port.shape, port.strides, port.dtype) for port in operation.ports]
    accept = operation.accept
    at, offset = pointer_at, DATA_OFFSET

    def launch(*arrays: np.ndarray) -> None:
        with lock:
            kernel = operation.kernel
            if operation.epoch != state.epoch:
                kernel = operation.renew()
            if kernel.base != memory_of_all.base:
                kernel.place()
            for array, (shape, strides, dtype) in zip(arrays, wants, strict=True):
                if array.strides != strides or array.shape != shape or array.dtype is not dtype:
                    arrays = accept(arrays)
                    break
            pointers = [at(id(array) + offset).value for array in arrays]
            if pointers != kernel.pointers:
                for memory, pointer in zip(kernel.handles, pointers, strict=True):
                    set_handle(memory, pointer)
                kernel.pointers = pointers
            before = max_threads()
            if before != kernel.threads:
                set_threads(kernel.threads)
            try:
                for primitive, count, arguments in kernel.executions:
                    status = execute(primitive, stream, count, arguments)
                    if status:
                        raise onednn.OneDNNError("dnnl_primitive_execute", status)
            finally:
                if before != kernel.threads:
                    set_threads(before)

    # Told to whoever asks how the operation is computed.
    launch.operation = operation  # type: ignore[attr-defined]
    return launch
