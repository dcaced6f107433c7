"""Who holds a value: the reason why it had to be computed and kept."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from rushlight.engine.core.errors import PACKAGE_FOLDER
from rushlight.engine.ir.graph import TensorBase, Value
from rushlight.engine.trace.gradient_node import GradNode
from rushlight.engine.trace.views import Storage


def _user_frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(PACKAGE_FOLDER):
            yield frame
        frame = frame.f_back


def _owners(table: dict[Any, Any]) -> list[Any]:
    """The objects whose attributes stand in ``table``."""
    return [x for x in gc.get_referrers(table) if getattr(x, "__dict__", None) is table]


def _tensors_of(value: Value, ignored: set[int]) -> tuple[list[Any], list[str]]:
    """The tensors that have ``value``, and what else holds it."""
    tensors: list[Any] = []
    others: list[str] = []
    for holder in gc.get_referrers(value):
        if id(holder) in ignored:
            continue
        if isinstance(holder, TensorBase):
            tensors.append(holder)
        elif isinstance(holder, Storage):
            for user in gc.get_referrers(holder):
                tensors.extend(_as_tensors(user))
        elif isinstance(holder, dict):
            tensors.extend(_as_tensors(holder))
        elif isinstance(holder, list):
            for node in gc.get_referrers(holder):
                if isinstance(node, GradNode) and node.saved is holder:
                    others.append(f"saved for the gradient of {node.name()}")
    return tensors, others


def _as_tensors(holder: Any) -> list[Any]:
    if isinstance(holder, TensorBase):
        return [holder]
    if isinstance(holder, dict):
        return [x for x in _owners(holder) if isinstance(x, TensorBase)]
    return []


def _name(tensor: Any, ignored: set[int]) -> str:
    """How the user reaches a tensor."""
    for frame in _user_frames():
        for name, found in frame.f_locals.items():
            if found is tensor:
                return f"variable '{name}' in {frame.f_code.co_name}"
    for holder in gc.get_referrers(tensor):
        if id(holder) in ignored:
            continue
        if isinstance(holder, TensorBase) and holder.__dict__.get("_grad") is tensor:
            return f"gradient of {_name(holder, ignored)}"
        if isinstance(holder, dict):
            key = next((k for k, v in holder.items() if v is tensor), None)
            owners = _owners(holder)
            if owners and isinstance(owners[0], TensorBase):
                if key == "_grad":
                    return f"gradient of {_name(owners[0], ignored)}"
                continue
            if owners:
                return f"attribute '{key}' of {type(owners[0]).__name__}"
            if isinstance(key, str):
                return f"'{key}' in {_table(holder)}"
        if isinstance(holder, (list, tuple, set)):
            return f"an element of a {type(holder).__name__} of {len(holder)}"
    return "a tensor somewhere in your program"


def _table(table: dict[Any, Any]) -> str:
    for owner in gc.get_referrers(table):
        if isinstance(owner, dict):
            for name, found in owner.items():
                if found is table and name in ("_parameters", "_buffers"):
                    modules = _owners(owner)
                    kind = type(modules[0]).__name__ if modules else "a module"
                    return f"the {name.strip('_')} of {kind}"
    return "a dictionary"


def holders_of(value: Value, *known: Any) -> list[str]:
    """Why ``value`` is held, in words; ``known`` are containers of the engine's own."""
    ignored = {id(x) for x in known}
    tensors, reasons = _tensors_of(value, ignored)
    seen: set[int] = set()
    for tensor in tensors:
        if id(tensor) not in seen:
            seen.add(id(tensor))
            reasons.append(_name(tensor, ignored | {id(tensors)}))
    return list(dict.fromkeys(reasons))
