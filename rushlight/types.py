"""Names of types for annotations: ``torch.types``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

from rushlight._info import layout
from rushlight._tensor import Tensor
from rushlight.engine.core.device import device
from rushlight.engine.core.dtype import dtype
from rushlight.engine.core.shape import Size
from rushlight.storage import TypedStorage, UntypedStorage

Number: TypeAlias = int | float | bool
Device: TypeAlias = device | str | int | None
FileLike: TypeAlias = Any  #: a path, or a file that is open in binary mode
PathLike: TypeAlias = str | os.PathLike[str]
Storage: TypeAlias = UntypedStorage | TypedStorage
IntLikeType: TypeAlias = int
FloatLikeType: TypeAlias = float
BoolLikeType: TypeAlias = bool

_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_TensorOrTensorsOrGradEdge: TypeAlias = Tensor | Sequence[Tensor] | Any
_dtype, _device, _layout = dtype, device, layout
_size: TypeAlias = Size | list[int] | tuple[int, ...]
_symsize: TypeAlias = Size | Sequence[int]
_dispatchkey: TypeAlias = str
_int, _float, _bool, _complex = int, float, bool, complex
py_sym_types = ()
