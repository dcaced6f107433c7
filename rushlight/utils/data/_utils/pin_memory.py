"""Moving the tensors of a batch into page-locked memory, for copies to an accelerator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rushlight.utils.data._utils.collate import _like_mapping, _like_sequence


def pin_memory(data: Any, device: Any = None) -> Any:
    """Every tensor in nested containers, and every object that knows how, in pinned memory.

    Args:
        data: a batch.
        device: the accelerator, which is the current one in any case.
    """
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: pin_memory(data[key], device) for key in data})
    if isinstance(data, tuple):
        made = [pin_memory(item, device) for item in data]
        return type(data)(*made) if hasattr(data, "_fields") else type(data)(made)
    if isinstance(data, Sequence):
        return _like_sequence(data, (pin_memory(item, device) for item in data))
    return data
