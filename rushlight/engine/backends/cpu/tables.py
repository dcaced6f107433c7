"""What generated code is given at every run: a table of addresses, and the run-time numbers."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.engine.ir.buffers import span_of


class Table:
    """Where the slots of a program lie: the addresses that generated code is given.

    Attributes:
        address: where the table itself lies.
        values: the addresses, by slot.
    """

    __slots__ = ("address", "values")

    def __init__(self, slots: int) -> None:
        """Args:
        slots: how many.
        """
        self.values = (ctypes.c_size_t * slots)()
        self.address = ctypes.addressof(self.values)

    def array(
        self, slot: int, offset: int, shape: Sequence[int], kind: np.dtype, strides: Sequence[int]
    ) -> np.ndarray:
        """The memory from ``offset`` bytes behind a slot on as an array, strides in elements."""
        size = kind.itemsize
        reach = span_of(shape, strides) * size
        memory = (ctypes.c_char * reach).from_address(self.values[slot] + offset)
        return np.ndarray(
            tuple(shape), kind, memoryview(memory), 0, tuple([s * size for s in strides])
        )


class Numbers:
    """The run-time numbers of a program, packed as generated code reads them.

    Attributes:
        address: where they lie.
    """

    __slots__ = ("_memory", "_pack", "address")

    def __init__(self, kinds: Sequence[str]) -> None:
        """Args:
        kinds: ``"d"`` for a float64, ``"q"`` for an int64.
        """
        self._memory = bytearray(max(8 * len(kinds), 8))
        view = (ctypes.c_char * len(self._memory)).from_buffer(self._memory)
        self.address = ctypes.addressof(view)
        self._pack = struct.Struct("".join(["=", *kinds])).pack_into

    def put(self, numbers: Sequence[Any]) -> bool:
        """Set all numbers; ``False``: one is an integer beyond 64 bits."""
        try:
            self._pack(self._memory, 0, *numbers)
        except struct.error:
            return False
        return True
