"""Looking into what rushlight does: which programs there are, why a new one, what they compute."""

from importlib import import_module as _import_module
from typing import Any as _Any

#: Where a name is found; a part is imported when it is first used.
_PARTS = {
    "Report": "report",
    "explain": "report",
    "graph": "graphview",
    "Stats": "counts",
    "stats": "counts",
}


def __getattr__(name: str) -> _Any:
    if name == "checks":
        return _import_module("rushlight.debug.checks")
    if name in _PARTS:
        return getattr(_import_module(f"rushlight.debug.{_PARTS[name]}"), name)
    raise AttributeError(f"module 'rushlight.debug' has no attribute '{name}'")
