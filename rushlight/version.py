"""Versions as PyTorch's programs ask for them: ``torch.version``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rushlight._names import TORCH_VERSION


def _key(text: str) -> tuple[tuple[int, ...], bool, str]:
    """Orders versions: by their numbers, one with a suffix such as ``a0`` or ``rc1`` first."""
    found = re.match(r"v?(\d+(?:\.\d+)*)(.*)", text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no version")
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    suffix = found[2].partition("+")[0]
    final = not suffix or suffix.startswith((".post", "post"))
    return tuple(numbers), final, suffix


class TorchVersion(str):
    """A version that compares by its numbers, with strings and with tuples.

    >>> from rushlight.version import TorchVersion
    >>> version = TorchVersion("2.13.0")
    >>> version > "2.9", version >= (1, 10), version < "2.13.1", version == "2.13"
    (True, True, True, True)
    >>> version.split(".")
    ['2', '13', '0']
    """

    __slots__ = ()

    def _keys(self, other: Any) -> tuple[Any, Any] | None:
        if isinstance(other, Iterable) and not isinstance(other, str):
            other = ".".join(str(part) for part in other)
        try:
            return _key(str(self)), _key(str(other))
        except ValueError:
            return None

    def __lt__(self, other: Any) -> bool:
        keys = self._keys(other)
        return str(self) < str(other) if keys is None else keys[0] < keys[1]

    def __le__(self, other: Any) -> bool:
        keys = self._keys(other)
        return str(self) <= str(other) if keys is None else keys[0] <= keys[1]

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __eq__(self, other: object) -> bool:
        keys = self._keys(other)
        return str(self) == str(other) if keys is None else keys[0] == keys[1]

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


__version__ = TorchVersion(TORCH_VERSION)
debug = False
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
git_version = "Unknown"
