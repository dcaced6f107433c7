"""Constants that only say their name: how a tensor lies in memory."""

from __future__ import annotations


class Named:
    """A constant that prints as PyTorch's."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        return self._name.removeprefix("torch.")


class layout(Named):
    """A memory layout, such as ``torch.strided``."""


strided = layout("torch.strided")
