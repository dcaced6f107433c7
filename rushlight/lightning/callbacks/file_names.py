"""Names of files with values in them."""

from __future__ import annotations

import os
import re
from typing import Any

from rushlight._tensor import Tensor

_GROUP = re.compile(r"\{([^{}:]+)(:[^{}]*)?\}")


def filled(pattern: str, values: dict[str, Any], with_names: bool = True) -> str:
    """A pattern with its values filled in; those that are missing are 0.

    >>> filled("{epoch:02d}-{val/loss:.1f}", {"epoch": 3, "val/loss": 0.25})
    'epoch=03-val/loss=0.2'
    >>> filled("m-{epoch}", {"epoch": 3}, with_names=False)
    'm-3'
    """

    def fill(match: re.Match[str]) -> str:
        name, form = match.group(1), match.group(2) or ""
        value = values.get(name, 0)
        if isinstance(value, Tensor):
            value = value.item()
        text = format(value, form[1:]) if form else str(value)
        return f"{name}={text}" if with_names else text

    return _GROUP.sub(fill, pattern)


def unused(path: str) -> str:
    """The path, or the first one with ``-v1``, ``-v2`` ... that nothing has.

    >>> unused("/nowhere/a.ckpt")
    '/nowhere/a.ckpt'
    """
    base, ending = os.path.splitext(path)
    version = 0
    while os.path.exists(path):
        version += 1
        path = f"{base}-v{version}{ending}"
    return path
