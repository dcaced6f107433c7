"""What a program is told that asks for a name PyTorch has and rushlight has not."""

from __future__ import annotations

import difflib
import opcode
import os
import pkgutil
import sys
from collections.abc import Iterable
from functools import cache
from types import FrameType, ModuleType

import rushlight
from rushlight._names import MOVED, PRIVATE, own_name, package_of, torch_name

_HERE = os.path.dirname(os.path.abspath(__file__))
_IMPORT_FROM = opcode.opmap["IMPORT_FROM"]


def module_error(name: str) -> ModuleNotFoundError:
    """Why ``import name`` cannot be had.

    >>> from rushlight.cli.missing import module_error
    >>> print(module_error("torch.optim.lr_schedulers"))
    No module named 'torch.optim.lr_schedulers': ... the nearest name is 'torch.optim.lr_scheduler'
    """
    package = package_of(name) or name
    reason = _private_reason(name)
    if not reason:
        own = own_name(name)
        private = any(part.startswith("_") for part in name.split("."))
        there = f"there is no {own}" if own else "PyTorch has none, either"
        there = "this is private to PyTorch" if private else there
        reason = f"{package} is rushlight here, and {there}"
    advice = _nearest(name, _module_names(), 0.8)
    text = f"No module named {name!r}: {reason}{_asked()}{advice}"
    return ModuleNotFoundError(text, name=name)


def attribute_error(module: ModuleType, name: str) -> AttributeError | ImportError:
    """Why ``module.name``, or ``from module import name``, cannot be had.

    Args:
        module: one of rushlight's, under the name that the program uses.
        name: what it was asked for.

    Returns:
        An ``ImportError`` where the asking frame stands at ``from module import name``, an
        ``AttributeError`` otherwise.
    """
    title = module.__name__
    advice = _asked() + _nearest(name, tuple(n for n in dir(module) if not n.startswith("__")))
    reason = _private_reason(f"{title}.{name}")
    if reason:
        advice = f": {reason}{advice}"
    asking = asking_frame()
    if asking is not None and _stands_at_import(asking):
        text = f"cannot import name {name!r} from {title!r} ({module.__file__}){advice}"
        return ImportError(text, name=title, path=module.__file__)
    return AttributeError(f"module {title!r} has no attribute {name!r}{advice}", name=name)


def _private_reason(name: str) -> str:
    """What the table says of a private module, or of a name in it."""
    known = (why for p, why in PRIVATE.items() if name == p or name.startswith(p + "."))
    return next(known, "")


def asking_frame() -> FrameType | None:
    """The innermost frame that belongs neither to the import machinery nor to the aliases."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(("<frozen importlib", _HERE)) and "importlib" not in file:
            return frame
        frame = frame.f_back
    return None


def _stands_at_import(frame: FrameType) -> bool:
    return frame.f_code.co_code[frame.f_lasti] == _IMPORT_FROM


def _asked() -> str:
    """Where in the program the name was asked for."""
    frame = asking_frame()
    if frame is None:
        return ""
    return f" (asked for in {frame.f_code.co_filename}, line {frame.f_lineno})"


def _nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    found = _closest(name, tuple(known), likeness)
    return f"; the nearest name is {found!r}" if found else ""


@cache
def _closest(name: str, known: tuple[str, ...], likeness: float) -> str | None:
    lower = {other.lower(): other for other in known}
    if name.lower() in lower:
        return lower[name.lower()]
    found = difflib.get_close_matches(name, known, n=1, cutoff=likeness)
    return found[0] if found else None


@cache
def _module_names() -> tuple[str, ...]:
    """Every module that a program may import, found without importing any."""
    found = {*MOVED, "torch"}
    waiting = [("rushlight", list(rushlight.__path__))]
    while waiting:
        package, folders = waiting.pop()
        for entry in pkgutil.iter_modules(folders):
            own = f"{package}.{entry.name}"
            shown = torch_name(own)
            if shown is not None:
                found.add(shown)
            if entry.ispkg and shown is not None:
                waiting.append((own, [os.path.join(folder, entry.name) for folder in folders]))
    return tuple(sorted(found))
