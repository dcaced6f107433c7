"""Several oneDNN primitives, one after the other, that native code runs as one."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_prepared import ALIGNMENT, Prepared, address
from rushlight.engine.backends.cpu.onednn_primitive import (
    Description,
    Descriptor,
    Memory,
    Owned,
    Primitive,
)


class Assembly(Prepared):
    """Primitives put together step by step.

    Memory is of three kinds: of the caller (`outside`), of the scratch memory (`reserve` and
    `inside`), and memory of its own that begins with zeros and stays (`keep` and `kept`).
    """

    __slots__ = ("_kept", "_outside")

    def __init__(self, count: int) -> None:
        super().__init__(count)
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
        made = Primitive(description, memories)
        self.primitives.append(made)
        self.executions.append((made.address, made.count, ctypes.addressof(made.arguments)))

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
