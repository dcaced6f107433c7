"""``multiprocessing`` children of a program find rushlight under PyTorch's names, as it does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing import util
from typing import Any

from rushlight.cli import aliases

_STARTS = ("from multiprocessing.spawn import", "from multiprocessing.forkserver import")
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_launch = util.spawnv_passfds


def install() -> None:
    """Make this process's names those of the children it starts afresh (forked ones have them)."""
    util.spawnv_passfds = _launch_with_aliases


def uninstall() -> None:
    """Leave the children to themselves again."""
    util.spawnv_passfds = _launch


def begin() -> None:
    """What a child does before anything of the program is imported or unpickled."""
    aliases.install()
    install()


def _launch_with_aliases(path: Any, args: Sequence[Any], passfds: Sequence[int]) -> int:
    """Start a process; the interpreter's own helper processes are left as they are."""
    words = [_begun(word) if _starts_a_child(word) else word for word in args]
    return _launch(path, words, passfds)


def _starts_a_child(word: Any) -> bool:
    return isinstance(word, str) and word.startswith(_STARTS)


def _begun(code: str) -> str:
    """The child's first line, with the aliases before it."""
    return (
        f"import sys; sys.path.append({_ROOT!r}); from rushlight.cli import children; "
        f"sys.path.remove({_ROOT!r}); children.begin(); {code}"
    )
