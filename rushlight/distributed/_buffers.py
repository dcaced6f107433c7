"""Between tensors and MPI's buffers: types, operations, writing results into tensors."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight.engine.core.dtype import COMPLEX, FLOATING, dtype
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.trace import views
from rushlight.engine.trace.recorder import mode


class RedOpType(IntEnum):
    """How the values of the ranks become one."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8

    def __str__(self) -> str:
        return f"RedOpType.{self.name}"


class ReduceOp:
    """The operations of reductions: ``ReduceOp.SUM`` and its like.

    >>> import rushlight.distributed as dist
    >>> print(dist.ReduceOp.SUM)
    RedOpType.SUM
    """

    RedOpType = RedOpType
    SUM = RedOpType.SUM
    AVG = RedOpType.AVG
    PRODUCT = RedOpType.PRODUCT
    MIN = RedOpType.MIN
    MAX = RedOpType.MAX
    BAND = RedOpType.BAND
    BOR = RedOpType.BOR
    BXOR = RedOpType.BXOR
    PREMUL_SUM = RedOpType.PREMUL_SUM

    def __new__(cls, op: Any) -> Any:
        return RedOpType(op)


#: MPI's name of each operation, on numbers and on truth values.
_OPERATIONS = {
    RedOpType.SUM: ("SUM", "LOR"),
    RedOpType.AVG: ("SUM", ""),
    RedOpType.PRODUCT: ("PROD", "LAND"),
    RedOpType.MIN: ("MIN", "LAND"),
    RedOpType.MAX: ("MAX", "LOR"),
    RedOpType.BAND: ("BAND", "LAND"),
    RedOpType.BOR: ("BOR", "LOR"),
    RedOpType.BXOR: ("BXOR", "LXOR"),
}

#: MPI's name of each type it can compute with; the narrow floats are computed in float32.
_TYPES = {
    "bool": "C_BOOL", "uint8": "UINT8_T", "int8": "INT8_T", "int16": "INT16_T",
    "int32": "INT32_T", "int64": "INT64_T", "uint16": "UINT16_T", "uint32": "UINT32_T",
    "uint64": "UINT64_T", "float32": "FLOAT", "float64": "DOUBLE",
    "complex64": "C_FLOAT_COMPLEX", "complex128": "C_DOUBLE_COMPLEX",
}  # fmt: skip


def check_tensor(x: Any, name: str) -> None:
    """Refuse what is no tensor, in PyTorch's words."""
    if not isinstance(x, TensorBase):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor\n"
            f"             but got {type(x)} instead."
        )


def check_list(x: Any, name: str) -> None:
    """Refuse what is no list of tensors, in PyTorch's words."""
    if not isinstance(x, (list, tuple)):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type "
            f"List[torch.Tensor]\n             but got {type(x)} instead."
        )
    for element in x:
        if not isinstance(element, TensorBase):
            raise TypeError(
                f"Invalid function argument. Expected parameter `{name}` of type "
                f"List[torch.Tensor]\n             but got {type(x)} with elements of type "
                f"{[type(e) for e in x]}."
            )


def same_types(what: str, *tensors: Any) -> None:
    """Refuse tensors of different types: they travel as bytes."""
    kinds = {tensor.dtype for tensor in tensors}
    if len(kinds) > 1:
        raise ValueError(f"Invalid usage of tensors with different dtypes. Found {what}: {kinds}")


def outgoing(tensor: Any, what: str) -> np.ndarray:
    """The contents in row-major order, to be read only."""
    return np.ascontiguousarray(tensor._array(what)).reshape(-1)


def held(*tensors: Any) -> list[Any]:
    """What must stay alive while MPI reads these tensors: their values own the memory."""
    return [tensor._read() for tensor in tensors]


def bytes_of(array: np.ndarray) -> np.ndarray:
    """The memory of a row-major array as bytes."""
    return array.reshape(-1).view(np.uint8)


def room_for(tensor: Any) -> np.ndarray:
    """Memory for the contents of a tensor, flat."""
    return np.empty(tensor.numel(), tensor.dtype.numpy)


def deliver(tensor: Any, array: np.ndarray) -> None:
    """Let a tensor hold what has come; ``array`` belongs to the tensor from now on."""
    before, mode.grad = mode.grad, False
    try:
        views.write(tensor, tensor_of_array(array.reshape(tuple(tensor.shape))))
    finally:
        mode.grad = before


class Reduction:
    """How MPI reduces tensors of one type with one operation.

    Args:
        mpi: the MPI library.
        kind: the type of the tensors.
        op: the operation.
        size: how many ranks take part.
    """

    def __init__(self, mpi: Any, kind: dtype, op: Any, size: int) -> None:
        self.op = RedOpType(op)
        self.kind = kind
        self.size = size
        self._check()
        self.compute = kind.numpy
        if kind.category == FLOATING and kind.itemsize < 4:
            self.compute = np.dtype(np.float32)  # rounded once, at the end
        self.type = getattr(mpi, _TYPES[self.compute.name])
        self.operation = getattr(mpi, _OPERATIONS[self.op][kind.name == "bool"])

    def _check(self) -> None:
        name = self.op.name
        if self.op not in _OPERATIONS:
            raise RuntimeError(f"Cannot use ReduceOp.{name} here: multiply, then use ReduceOp.SUM")
        if name in ("BAND", "BOR", "BXOR") and self.kind.category >= FLOATING:
            raise RuntimeError(f"Cannot use ReduceOp.{name} with non-integral dtype")
        if name in ("MIN", "MAX") and self.kind.category == COMPLEX:
            raise RuntimeError(f"all_reduce does not support {name} on complex tensors")
        if name == "AVG" and self.kind.category < FLOATING:
            raise RuntimeError(
                f"Cannot use ReduceOp.AVG with {self.kind}\nUse ReduceOp.SUM and divide by "
                "get_world_size()."
            )

    def load(self, tensor: Any, what: str) -> np.ndarray:
        """A flat copy of a tensor that MPI may write over."""
        return np.array(tensor._array(what), dtype=self.compute, order="C").reshape(-1)

    def spec(self, array: np.ndarray) -> list[Any]:
        """An array as mpi4py takes it: memory and type."""
        return [array, self.type]

    def result(self, array: np.ndarray) -> np.ndarray:
        """What the reduced numbers are in the tensors' type."""
        if self.op is RedOpType.AVG:
            array /= self.size
        return array.astype(self.kind.numpy, copy=False)
