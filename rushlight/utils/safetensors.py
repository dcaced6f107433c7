"""Tensors in safetensors files: a plain format without any code, the safest one for weights.

The functions are those of the package ``safetensors`` for PyTorch, which under ``rushlight run``
works itself, too; a file is written as ``torch.save`` writes it, whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from rushlight._serialization import LoadError, written_atomically
from rushlight._tensor import Tensor
from rushlight.engine.core.device import require_device
from rushlight.engine.core.dtype import (
    bfloat16,
    bool_,
    complex64,
    dtype,
    float8_e4m3fn,
    float8_e5m2,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from rushlight.engine.core.shape import contiguous_strides
from rushlight.nn.modules.module import Module
from rushlight.storage import storage_of_bytes, tensor_on, untyped_storage

#: The format's names of the types.
_TYPES: dict[str, dtype] = {
    "F64": float64, "F32": float32, "F16": float16, "BF16": bfloat16, "I64": int64, "I32": int32,
    "I16": int16, "I8": int8, "U64": uint64, "U32": uint32, "U16": uint16, "U8": uint8,
    "BOOL": bool_, "C64": complex64, "F8_E4M3": float8_e4m3fn, "F8_E5M2": float8_e5m2,
}  # fmt: skip


def _package() -> ModuleType:
    try:
        import safetensors
    except ImportError as error:
        raise ImportError(
            "safetensors files need the package safetensors: pip install safetensors"
        ) from error
    return safetensors


def save(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file.

    Args:
        tensors: by name; contiguous, no two in the same memory.
        metadata: texts to keep beside them.

    Raises:
        RuntimeError: some share memory.
        ValueError: one is not contiguous, or of a type that the format does not have.

    See https://huggingface.co/docs/safetensors/api/torch.

    >>> import rushlight as torch
    >>> from rushlight.utils import safetensors
    >>> safetensors.load(safetensors.save({"weight": torch.ones(2)}))
    {'weight': tensor([1., 1.])}
    """
    package = _package()
    _check(tensors)
    specs, alive = {}, []
    for name, tensor in tensors.items():
        array = np.ascontiguousarray(tensor._array("save"))
        alive.append(array)
        specs[name] = _described(package, tensor, array)
    return bytes(package.serialize(specs, metadata=None if metadata is None else dict(metadata)))


def _described(package: ModuleType, tensor: Any, array: np.ndarray) -> Any:
    """What the package wants to know of a tensor; older releases want its bytes."""
    named = {"dtype": tensor.dtype.name, "shape": list(tensor.shape)}
    if not hasattr(package, "TensorSpec"):
        return {**named, "data": array.tobytes()}
    return package.TensorSpec(**named, data_ptr=array.ctypes.data, data_len=array.nbytes)


def _check(tensors: Mapping[str, Any]) -> None:
    if not isinstance(tensors, Mapping):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    known = set(_TYPES.values())
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(
                f"Key `{name}` is invalid, expected torch.Tensor but received {type(tensor)}"
            )
        if not tensor.is_contiguous():
            raise ValueError(
                f"You are trying to save a non contiguous tensor: `{name}` which is not allowed. "
                "Call `.contiguous()` on it before saving."
            )
        if tensor.dtype not in known:
            raise ValueError(f"safetensors files have no {tensor.dtype}, the type of `{name}`")
    shared = [names for names in _sharing(tensors) if len(names) > 1]
    if shared:
        raise RuntimeError(
            f"Some tensors share memory, this will lead to duplicate memory on disk and potential "
            f"differences when loading them again: {shared}.\nsave_model keeps one of each."
        )


def _sharing(tensors: Mapping[str, Any]) -> list[list[str]]:
    """The names, those together whose memory overlaps."""
    places = []
    for name, tensor in tensors.items():
        if tensor.numel():
            start = tensor.storage_offset() * tensor.dtype.itemsize
            places.append((id(tensor._alias or tensor), start, start + tensor.nbytes, name))
    groups: list[list[str]] = []
    before, reached = 0, 0
    for owner, start, stop, name in sorted(places):
        if groups and owner == before and start < reached:
            groups[-1].append(name)
            reached = max(reached, stop)
        else:
            groups.append([name])
            before, reached = owner, stop
    return groups


def load(data: bytes) -> dict[str, Any]:
    """The tensors of a safetensors file, from its bytes.

    Args:
        data: the whole file.

    Raises:
        LoadError: it is damaged.

    >>> import rushlight as torch
    >>> from rushlight.utils import safetensors
    >>> safetensors.load(safetensors.save({"a": torch.arange(2)}))["a"]
    tensor([0, 1])
    """
    package = _package()
    try:
        entries = package.deserialize(bytes(data))
    except package.SafetensorError as error:
        raise LoadError(f"the safetensors file is damaged or incomplete: {error}") from error
    return {name: _made(name, entry) for name, entry in entries}


def _made(name: str, entry: Mapping[str, Any]) -> Any:
    found = _TYPES.get(entry["dtype"])
    if found is None:
        raise LoadError(f"rushlight has no type {entry['dtype']}, the type of `{name}`")
    shape = tuple(entry["shape"])
    memory = np.array(np.frombuffer(entry["data"], np.uint8))
    return tensor_on(storage_of_bytes(memory), found, 0, shape, contiguous_strides(shape))


def save_file(
    tensors: Mapping[str, Any],
    filename: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors to a safetensors file, whole or not at all.

    Args:
        tensors: by name; contiguous, no two in the same memory.
        filename: where the file goes.
        metadata: texts to keep beside them.

    See https://huggingface.co/docs/safetensors/api/torch.
    """
    data = save(tensors, metadata)
    with written_atomically(filename) as file:
        file.write(data)


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Any]:
    """The tensors of a safetensors file.

    Args:
        filename: its path.
        device: where the tensors go.

    Raises:
        LoadError: it is damaged.

    See https://huggingface.co/docs/safetensors/api/torch.
    """
    require_device(device)
    with open(filename, "rb") as file:
        return load(file.read())


def save_model(
    model: Module,
    filename: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
    force_contiguous: bool = True,
) -> None:
    """Write a module's state, each piece of memory once, under the first of its names.

    Args:
        model: what is saved.
        filename: where the file goes.
        metadata: texts to keep beside it.
        force_contiguous: whether tensors with gaps are written without them.

    See https://huggingface.co/docs/safetensors/api/torch.
    """
    state = model.state_dict()
    texts = dict(metadata or {})
    for kept, others in _aliases(state).items():
        for name in others:
            texts.setdefault(name, kept)
            del state[name]
    if force_contiguous:
        state = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(state, filename, texts or None)


def _aliases(state: Mapping[str, Any]) -> dict[str, list[str]]:
    """For the name that stays, the names that mean the same memory."""
    found: dict[str, list[str]] = {}
    for names in _sharing(state):
        whole = [
            name for name in sorted(names)
            if state[name].nbytes == untyped_storage(state[name]).nbytes()
        ]  # fmt: skip
        if len(names) > 1 and not whole:
            raise RuntimeError(f"none of {names} covers the memory they share; save clones of them")
        if len(names) > 1:
            found[whole[0]] = [name for name in sorted(names) if name != whole[0]]
    return found


def load_model(
    model: Module, filename: str | os.PathLike[str], strict: bool = True, device: Any = "cpu"
) -> tuple[set[str], list[str]]:
    """Read a module's state from a safetensors file.

    Args:
        model: what gets the state.
        filename: the path.
        strict: whether the names must be exactly those of the module.
        device: where the tensors go.

    Returns:
        The names that the file lacks, and those that the module lacks.

    Raises:
        RuntimeError: there are such names, and ``strict``.

    See https://huggingface.co/docs/safetensors/api/torch.
    """
    state = load_file(filename, device)
    groups = [names for names in _sharing(model.state_dict()) if len(names) > 1]
    missing, unexpected = model.load_state_dict(state, strict=False)
    absent = set(missing)
    for names in groups:
        if any(name in state for name in names):
            absent -= set(names)
    if strict and (absent or unexpected):
        text = f"Error(s) in loading state_dict for {type(model).__name__}:"
        for title, names in (("Missing", sorted(absent)), ("Unexpected", sorted(unexpected))):
            if names:
                listed = ", ".join(f'"{name}"' for name in names)
                text += f"\n    {title} key(s) in state_dict: {listed}"
        raise RuntimeError(text)
    return absent, list(unexpected)
