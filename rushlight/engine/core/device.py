"""Devices: where a tensor lives."""

from __future__ import annotations

import re
from typing import Any

_KNOWN = ("cpu", "cuda", "mps", "xpu", "meta")


class device:
    """A place for tensors, such as ``torch.device('cpu')`` or ``torch.device('cuda', 0)``.

    It also works as a context manager that sets the default device of new tensors.

    >>> import rushlight as torch
    >>> torch.device("cuda:1").type, torch.device("cuda:1").index
    ('cuda', 1)
    """

    __slots__ = ("_outer", "index", "type")

    type: str
    index: int | None
    _outer: list[device]

    def __new__(cls, type: str | int | device, index: int | None = None) -> device:
        if isinstance(type, device):
            return type
        if isinstance(type, int):
            index = type
            type = "cuda"
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {_class_name(type)}")
        kind, number = _parse(type, index)
        found = _interned.get((kind, number))
        if found is None:
            found = _interned[kind, number] = object.__new__(cls)
            found.type = kind
            found.index = number
            found._outer = []
        return found

    def __repr__(self) -> str:
        inner = f"type='{self.type}'"
        return f"device({inner})" if self.index is None else f"device({inner}, index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, tuple[str, int | None]]:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        self._outer.append(_default[0])
        _default[0] = self
        return self

    def __exit__(self, *exception: object) -> None:
        _default[0] = self._outer.pop()


def _class_name(value: object) -> str:
    return value.__class__.__name__


def _parse(text: str, index: int | None) -> tuple[str, int | None]:
    match = re.fullmatch(r"([a-z_]+)(?::(\d+))?", text)
    if match is None:
        raise RuntimeError(f"Invalid device string: '{text}'")
    kind, number = match.group(1), match.group(2)
    if kind not in _KNOWN:
        raise RuntimeError(
            f"Expected one of {', '.join(_KNOWN)} device type at start of device string: {kind}"
        )
    if number is not None and index is not None:
        raise RuntimeError(
            f"type (string) must not include an index because index was passed explicitly: {text}"
        )
    return kind, int(number) if number is not None else index


_interned: dict[tuple[str, int | None], device] = {}
CPU = device("cpu")
_default: list[device] = [CPU]


def get_default_device() -> device:
    """The device new tensors are made on when nobody says which."""
    return _default[0]


def set_default_device(device_: device | str | None) -> None:
    """Set the device new tensors are made on."""
    _default[0] = CPU if device_ is None else device(device_)


def require_device(wanted: device | str | int | None) -> device:
    """The device ``wanted`` names, or PyTorch's error where this machine has no such device."""
    if wanted is None:
        return _default[0]
    found = device(wanted)
    if found.type == "cuda":
        raise AssertionError(
            "Torch not compiled with CUDA enabled\n"
            "rushlight found no CUDA GPU here; use device='cpu', or guard with "
            "torch.cuda.is_available()"
        )
    if found.type != "cpu":
        raise NotImplementedError(
            f"rushlight has no backend for device '{found}'; use device='cpu'"
        )
    return CPU
