"""Reading whole objects with Python's own unpickler, for files whose author the user trusts."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

from rushlight._names import package_of
from rushlight._pickle_reader import Global, LoadError
from rushlight._serialization_data import find_data
from rushlight._serialization_names import own_object


def read_trusted(
    data: bytes,
    load_persistent: Callable[[Any], Any],
    module: ModuleType | None = None,
    **options: Any,
) -> Any:
    """The object that a pickle describes: whatever it names is imported and called.

    Args:
        data: the pickle.
        load_persistent: gives the object for a persistent id (a storage).
        module: whose ``Unpickler`` reads it; Python's if ``None``.
        options: go to the unpickler.

    Raises:
        LoadError: it is damaged.
    """
    base: Any = pickle if module is None else module
    kind = type("TorchUnpickler", (base.Unpickler,), {"find_class": _find, "_base": base})
    unpickler: Any = kind(io.BytesIO(data), **options)
    unpickler.persistent_load = load_persistent
    try:
        return unpickler.load()
    except (pickle.UnpicklingError, EOFError, IndexError, KeyError, UnicodeError) as error:
        if isinstance(error, LoadError):
            raise
        raise LoadError(f"the file's description of its contents is damaged: {error}") from error


def _find(self: Any, module: str, name: str) -> Any:
    """A class or function of a file: rushlight's where the file says PyTorch's."""
    if package_of(module) is None:
        return self._base.Unpickler.find_class(self, module, name)
    if module in _TENSORS or module == "torch":
        try:
            found = find_data(module, name)
        except LoadError:
            return own_object(module, name)
        if isinstance(found, Global):
            return found.found if found.found is not None else found.build
        return found
    return own_object(module, name)


#: Modules whose functions make tensors.
_TENSORS = ("torch._utils", "torch._tensor", "torch.storage", "torch.serialization")
