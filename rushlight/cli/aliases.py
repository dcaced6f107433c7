"""``import torch`` gives rushlight: a finder of modules, and what makes them answer as PyTorch's.

The modules stay one object each under all their names. A module that a program has got by a name
of PyTorch's answers with that name, as its classes do, and tells what it has not.
"""

from __future__ import annotations

import email.message
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

import rushlight
from rushlight._names import (
    DISTRIBUTIONS,
    MOVED,
    PACKAGES,
    own_name,
    package_of,
    torch_name,
)
from rushlight.cli.missing import attribute_error, module_error
from rushlight.version import TorchVersion


def install() -> None:
    """From here on ``torch``, ``torchvision`` and their like are rushlight in this process.

    Raises:
        ImportError: one of them has been imported already, and is not rushlight.
    """
    for package in PACKAGES:
        loaded = sys.modules.get(package)
        if loaded is not None and loaded is not sys.modules.get(PACKAGES[package]):
            raise ImportError(
                f"{package} has been imported already, from {getattr(loaded, '__file__', '?')}: "
                "start the process anew, and let rushlight come first",
                name=package,
            )
    if not installed():
        sys.meta_path.insert(0, _FINDER)


def installed() -> bool:
    """Whether ``torch`` is rushlight in this process, for the program and what it imports.

    >>> from rushlight.cli import aliases
    >>> aliases.installed()
    False
    """
    return _FINDER in sys.meta_path


def uninstall() -> None:
    """Undo ``install``: the names are free again, the modules answer with rushlight's."""
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
    for name in [name for name in sys.modules if package_of(name) is not None]:
        if sys.modules[name].__spec__ is not None and _is_own(sys.modules[name]):
            del sys.modules[name]
    while _UNDO:
        _UNDO.pop()()


#: What puts back what was changed, last change last.
_UNDO: list[Callable[[], None]] = []


def _is_own(module: ModuleType) -> bool:
    spec = module.__spec__
    return spec is not None and spec.name.partition(".")[0] == "rushlight"


class _Finder(MetaPathFinder):
    """Finds rushlight's modules under PyTorch's names, and keeps every other away."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module behind a name of the table; other names are left to the other finders.

        Raises:
            ModuleNotFoundError: rushlight has no such module.
        """
        if package_of(fullname) is None:
            return None
        own = own_name(fullname)
        found = None if own is None else find_own(own)
        if found is None:
            if _is_only_a_question():
                return None
            raise module_error(fullname)
        spec = ModuleSpec(fullname, _Loader(found), origin=found.origin)
        spec.has_location = found.has_location
        spec.submodule_search_locations = found.submodule_search_locations
        return spec

    def find_distributions(self, context: Any) -> Iterator[importlib.metadata.Distribution]:
        """The distributions that rushlight stands for, before the ones that are installed."""
        for name, version in DISTRIBUTIONS.items():
            if context.name is None or _normal(context.name) == _normal(name):
                yield _Distribution(name, version)


def find_own(own: str) -> ModuleSpec | None:
    """The specification of one of rushlight's modules, ``None`` where there is no such module."""
    parent = own.rpartition(".")[0]
    if parent and parent not in sys.modules and find_own(parent) is None:
        return None
    loaded = sys.modules.get(own)
    if loaded is not None:
        return loaded.__spec__
    if parent and not hasattr(importlib.import_module(parent), "__path__"):
        return None
    found = importlib.util.find_spec(own)
    return found if found is not None and found.origin is not None else None


def _is_only_a_question() -> bool:
    """Whether ``importlib.util.find_spec`` asks, which answers ``None`` and raises nothing."""
    frame = sys._getframe(2).f_back  # the finder was called by _find_spec, and that by whom?
    return frame is not None and frame.f_code.co_name == "find_spec"


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


class _Loader(InspectLoader):
    """Hands out a module of rushlight's under another name."""

    def __init__(self, found: ModuleSpec) -> None:
        self._found = found

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself, imported by its own name."""
        return importlib.import_module(self._found.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to run; the module keeps its own specification."""
        module.__spec__ = self._found
        adopt_loaded()

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code, for ``python -m``."""
        return getattr(self._found.loader, "get_code")(self._found.name)  # noqa: B009

    def get_source(self, fullname: str) -> str | None:
        """The module's text."""
        return getattr(self._found.loader, "get_source")(self._found.name)  # noqa: B009

    def is_package(self, fullname: str) -> bool:
        """Whether the module has modules below it."""
        return self._found.submodule_search_locations is not None


class _Distribution(importlib.metadata.Distribution):
    """What ``importlib.metadata`` reads of a distribution that rushlight stands for."""

    def __init__(self, name: str, version: str) -> None:
        self._text = email.message.Message()
        for field, value in (("Metadata-Version", "2.1"), ("Name", name), ("Version", version)):
            self._text[field] = value
        self._text["Summary"] = f"rushlight {_OWN_VERSION}, where programs expect {name}"

    def read_text(self, filename: str) -> str | None:
        """The text of ``METADATA``; there is no other file."""
        return self._text.as_string() if filename == "METADATA" else None

    def locate_file(self, path: str | os.PathLike[str]) -> Any:
        """Where a file of the package would lie."""
        return importlib.metadata.PackagePath(rushlight.__path__[0], path)


_OWN_VERSION = rushlight.__version__
_FINDER = _Finder()
_ADOPTED: dict[str, ModuleType] = {}


def adopt_loaded() -> None:
    """Every loaded module that PyTorch has, too, goes by PyTorch's name."""
    if "rushlight.optim" in sys.modules:  # looks at an optimizer's first steps: see rushlight
        importlib.import_module("rushlight.debug.checks")
    for own, module in list(sys.modules.items()):
        if own in _ADOPTED or not own.startswith("rushlight"):
            continue
        name = torch_name(own)
        if name is not None and module.__spec__ is not None:
            if not getattr(module.__spec__, "_initializing", False):
                _adopt(module, own, name)


def _adopt(module: ModuleType, own: str, name: str) -> None:
    _ADOPTED[own] = module
    sys.modules.setdefault(name, module)
    _UNDO.append(lambda: _forget(own))
    _set(module, "__name__", name)
    if name in ("torch", "torchvision", "pytorch_lightning"):
        version = DISTRIBUTIONS[name.replace("_", "-")]
        _set(module, "__version__", TorchVersion(version) if name == "torch" else version)
    for found in list(vars(module).values()):
        if isinstance(found, type) and found.__module__.startswith("rushlight."):
            public = _class_module(found, own, name)
            if public is not None:
                _set(found, "__module__", public)
    _set(module, "__getattr__", _answering(module, vars(module).get("__getattr__")))


def _forget(own: str) -> None:
    del _ADOPTED[own]


def _class_module(found: type, own: str, name: str) -> str | None:
    """Where PyTorch's programs find a class: its own module, or the package that shows it."""
    for moved, place in MOVED.items():
        if place == found.__module__ and moved.rpartition(".")[2] == found.__name__.lower():
            return moved
    if found.__module__ == own and name != "torch._tensor":
        return name
    hidden = torch_name(found.__module__) in (None, "torch._tensor")
    return name if hidden and name in _SHOWS else None


#: The packages whose classes go by the package's name where they are defined in private modules.
_SHOWS = ("torch", "torch.cuda", "torch.utils.data")


def _set(owner: Any, name: str, value: Any) -> None:
    """Set an attribute, and note how to put back what was there."""
    before = vars(owner).get(name, _ABSENT)

    def undo() -> None:
        if before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)

    setattr(owner, name, value)
    _UNDO.append(undo)


_ABSENT = object()


def _answering(module: ModuleType, before: Callable[[str], Any] | None) -> Callable[[str], Any]:
    """What a module does that is asked for a name it does not hold."""
    own_title = next(own for own, other in _ADOPTED.items() if other is module)
    titles = [module.__name__, *(moved for moved, own in MOVED.items() if own == own_title)]

    def __getattr__(name: str) -> Any:
        if before is not None:
            try:
                found = before(name)
            except AttributeError as error:
                if name.startswith("__") or "has no attribute" not in str(error):
                    raise
            else:
                if isinstance(found, ModuleType):
                    adopt_loaded()
                return found
        elif name.startswith("__"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        for full in (f"{title}.{name}" for title in titles):
            if full in sys.modules:
                return sys.modules[full]
            own = own_name(full)
            if own is not None and hasattr(module, "__path__") and find_own(own) is not None:
                return importlib.import_module(full)  # PyTorch imports most of them with itself
        raise attribute_error(module, name)

    return __getattr__
