"""The signature of a call is what its arguments are like; calls that agree share a recording."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.references import UnsupportedError
from rushlight.engine.core.device import device
from rushlight.engine.core.dtype import dtype
from rushlight.engine.ir.graph import TensorBase

_CONSTANTS = frozenset({
    int, float, bool, complex, str, bytes, type(None), type(...), dtype, device, type, range
})  # fmt: skip


class Signature:
    """The arguments of a call, taken apart.

    Attributes:
        tensors: the tensors among them, in order.
        objects: what takes part by its identity; a recording keeps it alive.
    """

    __slots__ = ("objects", "tensors")

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.objects: list[Any] = []

    def key(self, found: Any) -> Any:
        """The part of the signature for one argument."""
        kind = found.__class__
        if kind in _CONSTANTS:
            return (kind, found)
        if isinstance(found, TensorBase):
            return self._tensor(found)
        if kind is tuple or kind is list:
            return (kind, *[self.key(x) for x in found])
        if isinstance(found, tuple):
            return (kind, *[self.key(x) for x in found])
        if kind is dict:
            return (kind, *[(self.key(k), self.key(v)) for k, v in found.items()])
        if kind is slice:
            return (kind, found.start, found.stop, found.step)
        if isinstance(found, (np.ndarray, np.generic)):
            raise UnsupportedError("a NumPy array is among the arguments; pass a tensor")
        self.objects.append(found)
        return (kind, id(found))

    def _tensor(self, found: Any) -> Any:
        value = found._value if found._alias is None else found._alias.read(found)
        tensors = self.tensors
        edge = found._edge
        wanted = 0 if edge is None else 1 if edge[0].is_leaf_node else 2
        same = -1
        if tensors:
            for index, other in enumerate(tensors):
                if other is found or (found._alias is not None and other._alias is found._alias):
                    same = index if other is found else index + 1000
                    break
        tensors.append(found)
        return (found.__class__, value.meta, wanted, same)
