"""Everything that makes tensors: from data, of one number, of regular numbers, of old types."""

from __future__ import annotations

from rushlight._creation_data import (
    as_tensor as as_tensor,
    asarray as asarray,
    from_dlpack as from_dlpack,
    from_numpy as from_numpy,
    frombuffer as frombuffer,
    tensor as tensor,
)
from rushlight._creation_fill import (
    METHODS as FILL_METHODS,
    empty as empty,
    empty_like as empty_like,
    empty_strided as empty_strided,
    full as full,
    full_like as full_like,
    ones as ones,
    ones_like as ones_like,
    scalar_tensor as scalar_tensor,
    zeros as zeros,
    zeros_like as zeros_like,
)
from rushlight._creation_legacy import LEGACY as LEGACY, new as new
from rushlight._creation_ranges import (
    arange as arange,
    eye as eye,
    linspace as linspace,
    logspace as logspace,
    range as range,
    tril_indices as tril_indices,
    triu_indices as triu_indices,
)

#: The methods of Tensor that make another tensor of its type.
METHODS = {**FILL_METHODS, "new": new}

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "empty_strided", "eye", "from_dlpack",
    "from_numpy", "frombuffer", "full", "full_like", "linspace", "logspace", "ones", "ones_like",
    "range", "scalar_tensor", "tensor", "tril_indices", "triu_indices", "zeros", "zeros_like",
]  # fmt: skip
