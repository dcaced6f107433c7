"""What exists before a call: all tensors, and the ways that lead to them from the function.

Note: what a call may depend on
    Before a call is recorded every live tensor is noted with its value, so that whatever the call
    reads or writes is recognised by identity. A tensor is accepted only if a way leads to it from
    the function: through closures, the globals it names, attributes, lists and dictionaries. The
    same ways are walked at every replay; where one leads elsewhere the call is recorded anew. What
    these containers hold is compared after the call, so that a side effect is not overlooked.
"""

from __future__ import annotations

import functools
import gc
from collections import deque
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from rushlight.compiler.references import UnsupportedError
from rushlight.engine.core.errors import PACKAGE_FOLDER
from rushlight.engine.ir.graph import TensorBase, Value
from rushlight.engine.trace.views import Storage
from rushlight.nn.modules.module import Module

#: Containers with more entries are not searched for tensors.
LARGEST = 4096

#: Objects looked at when searching for tensors.
MOST_OBJECTS = 100_000

_PLAIN = (str, bytes, int, float, complex, bool, type(None), np.ndarray, np.generic, range, slice)

#: A step of a way: ``container[key]`` (or the contents of a cell) has to be this object.
Check = tuple[Any, Any, Any]


class Noted:
    """A tensor before the call."""

    __slots__ = ("alias", "edge", "grad", "tensor", "value", "version")

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        self.alias: Storage | None = tensor._alias
        if self.alias is not None:
            self.alias.read(tensor)
        self.value: Value = tensor._value
        self.version = version_of(tensor)
        self.edge = tensor._edge
        self.grad = getattr(tensor, "_grad", None)


def version_of(tensor: Any) -> int:
    """How often the memory of a tensor has been written."""
    return int(tensor._version_count if tensor._alias is None else tensor._alias.version)


def _kinds(kind: type) -> set[type]:
    """A class and all that are derived from it."""
    found: set[type] = {kind}
    derived: type
    for derived in type.__subclasses__(kind):
        found |= _kinds(derived)
    return found


class Tensors:
    """All live tensors before a call.

    Attributes:
        noted: what was noted of each.
        by_value: the tensors a value belongs to; several only if they share their memory.
        storages: each storage with its value and version then, and the tensors that look at it.
        gradient_of: the tensor whose ``grad`` a tensor is.
    """

    def __init__(self) -> None:
        if gc.get_freeze_count():
            raise UnsupportedError("gc.freeze() hides tensors that existed before the call")
        self.noted: dict[int, Noted] = {}
        self.by_value: dict[int, list[Any]] = {}
        self.storages: dict[int, tuple[Storage, Value, int, list[Any]]] = {}
        self.gradient_of: dict[int, Any] = {}
        # by its type: asking an object for its class may run code of other libraries
        kinds = _kinds(TensorBase)
        for found in [x for x in gc.get_objects() if type(x) in kinds]:
            if getattr(found, "_value", None) is not None:
                self._note(found)

    def _note(self, tensor: Any) -> None:
        noted = Noted(tensor)
        if noted.alias is None:
            if id(noted.value) in self.by_value and _plain(noted.value):
                # two tensors with one value: told apart by a value of its own for each
                tensor._value = noted.value = Value(noted.value.meta, -1, noted.value.buffer)
        else:
            self._note_storage(noted)
        self.noted[id(tensor)] = noted
        self.by_value.setdefault(id(noted.value), []).append(tensor)
        if noted.grad is not None:
            self.gradient_of[id(noted.grad)] = tensor

    def _note_storage(self, noted: Noted) -> None:
        storage, tensor = noted.alias, noted.tensor
        assert storage is not None
        known = self.storages.get(id(storage))
        if known is not None:
            known[3].append(tensor)
            if not tensor._chain:
                tensor._value = noted.value = known[1]
            return
        if id(storage.value) in self.by_value and _plain(storage.value):
            old = storage.value
            storage.value = Value(old.meta, -1, old.buffer)
            if noted.value is old:
                tensor._value = noted.value = storage.value
        self.storages[id(storage)] = (storage, storage.value, storage.version, [tensor])
        if not tensor._chain and noted.value is not storage.value:
            self.by_value.setdefault(id(storage.value), []).append(tensor)


def _plain(value: Value) -> bool:
    return isinstance(value.buffer, np.ndarray) and value.pos == -1


class World:
    """What can be reached from a function and its arguments, and how.

    Attributes:
        ways: for each object reached the check that led to it and the object it was found in.
        containers: every dictionary, list and cell searched, with what it held.
        objects: everything reached, by ``id``.
        entries: everything the call may find in its containers, as checks: another number, module
            or list there could mean another course of the call. What the library's own objects
            besides modules hold (an optimizer's options) is not among them.
        sizes: lists and dictionaries of which the size matters too.
    """

    def __init__(self, function: Any, others: list[Any]) -> None:
        self.ways: dict[int, tuple[Check | None, int]] = {}
        self.objects: dict[int, Any] = {}
        self.containers: list[tuple[Any, Any, str]] = []
        self.entries: list[Check] = []
        self.sizes: list[tuple[Any, int]] = []
        self._quiet: set[int] = set()
        self._settled: set[int] = set()
        self._queue: deque[Any] = deque()
        for start in (function, *others):
            self._reach(start, None, 0)
        while self._queue:
            if len(self.objects) > MOST_OBJECTS:
                break
            found = self._queue.popleft()
            for inner, check in self._inside(found):
                self._reach(inner, check, id(found))

    def _reach(self, found: Any, check: Check | None, parent: int) -> None:
        if check is not None and parent not in self._quiet and self._may_change(check):
            self.entries.append(check)
        if isinstance(found, _PLAIN):
            return
        if id(found) in self.ways:
            return
        inside = isinstance(found, (dict, list, tuple)) and parent in self._quiet
        if inside or (_of_library(found) and not isinstance(found, Module)):
            self._quiet.add(id(found))
        self.ways[id(found)] = (check, parent)
        self.objects[id(found)] = found
        if not isinstance(found, TensorBase):
            self._queue.append(found)

    def _may_change(self, check: Check) -> bool:
        """Sizes and names in the library's own modules stay as they are; switches may change."""
        container, key, found = check
        if id(container) not in self._settled:
            return True
        return isinstance(found, (bool, float)) or (key in _MEMBERS and bool(found))

    def checks_for(self, found: Any) -> list[Check]:
        """The steps of the way to an object, ``UnsupportedError`` if there is none."""
        checks = []
        at = id(found)
        if at not in self.ways:
            raise UnsupportedError(
                f"uses a tensor of shape {list(found.shape)} that cannot be reached again from "
                "the function; pass it as an argument, or keep it in an attribute, list or "
                "dictionary"
            )
        while at:
            check, at = self.ways[at]
            if check is not None:
                checks.append(check)
        return checks

    def _inside(self, found: Any) -> Iterator[tuple[Any, Check | None]]:
        if "_torchdynamo_orig_callable" in _attributes(found):
            yield found._torchdynamo_orig_callable, None
        elif isinstance(found, FunctionType):
            yield from self._function(found)
        elif isinstance(found, MethodType):
            yield found.__self__, None
            yield found.__func__, None
        elif isinstance(found, functools.partial):
            yield from ((x, None) for x in (found.func, found.args, found.keywords))
        elif isinstance(found, tuple):
            yield from ((x, None) for x in found)
        elif isinstance(found, dict):
            self._note_size(found)
            yield from self._entries(found, list(found.items()), "a dictionary")
        elif isinstance(found, list):
            self._note_size(found)
            yield from self._entries(found, list(enumerate(found)), "a list")
        elif isinstance(found, (type, ModuleType, CodeType)):
            return
        else:
            yield from self._object(found)

    def _note_size(self, container: Any) -> None:
        if id(container) not in self._quiet and container:
            self.sizes.append((container, len(container)))

    def _entries(
        self, container: Any, items: list[tuple[Any, Any]], name: str
    ) -> Iterator[tuple[Any, Check | None]]:
        if len(items) <= LARGEST:
            self.containers.append((container, items, name))
            for key, value in items:
                yield value, (container, key, value)

    def _object(self, found: Any) -> Iterator[tuple[Any, Check | None]]:
        attributes = _attributes(found)
        if attributes:
            name = type(found).__name__
            if _of_library(found):
                self._settled.add(id(attributes))
            items = list(attributes.items())
            if id(found) in self._quiet:  # what a library object remembers for itself is its own
                items = [item for item in items if not str(item[0]).startswith("_")]
            yield from self._entries(attributes, items, name)
        for kind in type(found).__mro__:
            for member in vars(kind).values():
                if isinstance(member, FunctionType) and not _ours(member):
                    yield member, None

    def _function(self, found: FunctionType) -> Iterator[tuple[Any, Check | None]]:
        if _ours(found):
            wrapped = getattr(found, "__wrapped__", None)
            if wrapped is not None:
                yield wrapped, None
            return
        for cell in found.__closure__ or ():
            content = _content(cell)
            self.containers.append((cell, content, "a variable of an enclosing function"))
            yield content, (cell, CELL, content)
        yield found.__defaults__, None
        yield found.__kwdefaults__, None
        yield from self._entries(found.__dict__, list(found.__dict__.items()), found.__name__)
        names = set(_names(found.__code__))
        space = found.__globals__
        used = [(name, space[name]) for name in sorted(names) if name in space]
        self.containers.append((space, used, "global variables"))
        for name, value in used:
            if isinstance(value, ModuleType):
                yield from self._module(value, names)
            else:
                yield value, (space, name, value)

    def _module(self, module: ModuleType, names: set[str]) -> Iterator[tuple[Any, Check | None]]:
        if module.__name__.split(".")[0] in ("rushlight", "torch", "numpy", "math"):
            return
        space = vars(module)
        for name in sorted(names):
            if name in space and not isinstance(space[name], (type, ModuleType)):
                yield space[name], (space, name, space[name])

    def changes(self) -> str | None:
        """What the call has changed besides tensors, in words; ``None`` if nothing."""
        for container, before, name in self.containers:
            if isinstance(container, CellType):
                if _content(container) is not before:
                    return f"it assigns {name}"
                continue
            entries = list(container.items()) if isinstance(container, dict) else list(
                enumerate(container)
            )
            if isinstance(container, dict) and len(entries) != len(before):
                entries = _entries_like(container, before, name)
            if len(entries) != len(before):
                return f"it adds entries to {name}, or removes some"
            for (key, now), (old_key, then) in zip(entries, before, strict=True):
                if now is not then and not (isinstance(now, _PLAIN) and now.__class__ is (
                    then.__class__) and _same(now, then)):  # fmt: skip
                    return f"it changes {key!r} of {name}"
                if key is not old_key and key != old_key:
                    return f"it changes the keys of {name}"
        return None


#: What a module of the library consists of.
_MEMBERS = ("_parameters", "_buffers", "_modules")

#: Stands for the contents of a cell in a check.
CELL = "cell"


def _attributes(found: Any) -> dict[str, Any]:
    """The attributes of an object itself, looked up without running code of its class."""
    try:
        attributes = object.__getattribute__(found, "__dict__")
    except AttributeError:
        return {}
    return attributes if isinstance(attributes, dict) else {}


#: First words of the modules that rushlight's classes name; under `rushlight run`, PyTorch's.
_LIBRARY = ("rushlight", "torch", "torchvision", "pytorch_lightning")


def _of_library(found: Any) -> bool:
    return type(found).__module__.partition(".")[0] in _LIBRARY


def _entries_like(
    container: dict[Any, Any], before: list[tuple[Any, Any]], name: str
) -> list[tuple[Any, Any]]:
    """The entries that were looked at, where that was only a part."""
    if name == "global variables":
        return [(key, container.get(key)) for key, _ in before]
    private = [item for item in container.items() if not str(item[0]).startswith("_")]
    return private if len(private) == len(before) else list(container.items())


def _same(one: Any, two: Any) -> bool:
    return not isinstance(one, np.ndarray) and bool(one == two)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _ours(function: FunctionType) -> bool:
    return function.__code__.co_filename.startswith(PACKAGE_FOLDER)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def guard_function(
    checks: list[Check], conditions: list[tuple[str, dict[str, Any]]]
) -> Callable[[], bool]:
    """A function that says whether all checks and conditions hold, as fast as can be.

    Args:
        checks: what has to be found where.
        conditions: expressions, with the names they use.
    """
    names: dict[str, Any] = {}
    parts: list[str] = []
    seen: set[tuple[int, Any]] = set()
    for number, (container, key, wanted) in enumerate(checks):
        mark = (id(container), key if key.__hash__ else id(key))
        if mark in seen:
            continue
        seen.add(mark)
        names[f"c{number}"], names[f"o{number}"] = container, wanted
        if isinstance(container, CellType):
            parts.append(f"c{number}.cell_contents is o{number}")
        else:
            names[f"k{number}"] = key
            parts.append(f"c{number}[k{number}] is o{number}")
    for condition, used in conditions:
        parts.append(condition)
        names.update(used)
    source = (
        "def guard():\n    try:\n        return " + (" and ".join(parts) or "True")
        + "\n    except (KeyError, IndexError, ValueError):\n        return False\n"
    )
    exec(source, names)
    made: Callable[[], bool] = names["guard"]
    return made
