"""Several oneDNN primitives, one after the other, that native code runs as one."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_prepared import ALIGNMENT, address
from rushlight.engine.backends.cpu.onednn_primitive import (
    Description,
    Descriptor,
    Memory,
    Owned,
    Primitive,
)


class Assembly:
    """What `onednn_prepared.Kernel` is to native code, put together step by step.

    Memory is of three kinds: of the caller (`outside`), of the scratch memory (`reserve` and
    `inside`), and memory of its own that begins with zeros and stays (`keep` and `kept`).

    Attributes:
        executions, handles, internal, scratch, threads: see `onednn_prepared.Kernel`.
    """

    __slots__ = ("_kept", "_outside", "handles", "internal", "primitives", "scratch", "threads")

    def __init__(self, count: int) -> None:
        self.threads = count
        self.scratch = 0
        self.internal: list[tuple[Memory, int]] = []
        self.handles: list[int] = []
        self.primitives: list[Primitive] = []
        self._outside: list[Memory] = []
        self._kept: list[Any] = []

    def outside(self, descriptor: Descriptor) -> Memory:
        """An array of the caller's; to be asked for in the order of the ports."""
        memory = Memory(descriptor)
        self._outside.append(memory)
        self.handles.append(memory.address)
        return memory

    def reserve(self, size: int) -> int:
        """Room for ``size`` bytes in the scratch memory; its offset."""
        offset = self.scratch
        self.scratch += -(-size // ALIGNMENT) * ALIGNMENT
        return offset

    def inside(self, descriptor: Descriptor, offset: int | None = None) -> Memory:
        """An array in the scratch memory; in new room if no offset is given."""
        memory = Memory(descriptor)
        where = self.reserve(descriptor.bytes) if offset is None else offset
        self.internal.append((memory, where))
        return memory

    def keep(self, size: int) -> int:
        """The address of ``size`` bytes of its own, all zero."""
        memory = np.zeros(size + ALIGNMENT, np.uint8)
        self._kept.append(memory)
        return -(-address(memory) // ALIGNMENT) * ALIGNMENT

    def kept(self, descriptor: Descriptor, where: int) -> Memory:
        """An array in that memory."""
        memory = Memory(descriptor)
        onednn.library().call("memory_set_data_handle", memory.address, where)
        self._kept.append(memory)
        return memory

    def run(self, description: Description, memories: dict[int, Memory]) -> None:
        """Execute a primitive next."""
        pad = description.argument(onednn.SCRATCHPAD)
        if pad.address and pad.bytes:
            memories = {**memories, onednn.SCRATCHPAD: self.inside(pad)}
        self.primitives.append(Primitive(description, memories))

    def copy(
        self,
        source: tuple[Descriptor, Memory],
        target: tuple[Descriptor, Memory],
        attributes: Owned | None = None,
    ) -> None:
        """Copy an array into another layout; with attributes, onto what is there."""
        engine = onednn.library().engine
        (have, from_where), (want, to_where) = source, target
        made = Description("reorder", have, engine, want, engine, attributes=attributes)
        self.run(made, {onednn.SRC: from_where, onednn.DST: to_where})

    @property
    def executions(self) -> list[tuple[int, int, int]]:
        """Address, number of arguments and address of the arguments of each primitive."""
        return [(p.address, p.count, ctypes.addressof(p.arguments)) for p in self.primitives]

    @property
    def implementation(self) -> str:
        """oneDNN's names for the steps."""
        return " > ".join(p.description.implementation for p in self.primitives)
