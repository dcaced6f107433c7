"""How much freed memory the process keeps for the next arrays.

The C library gives large arrays back to the system when they are freed and gets them anew, page by
page, cleared: a GPT's step of 54 ms in the interpreter spends 15 ms on that. Here it keeps up to
64 MB instead. Compiled programs do not need it, they have an arena.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

from rushlight.engine.core.config import config

_TRIM_THRESHOLD: Final = -1  # M_TRIM_THRESHOLD of malloc.h
_MMAP_THRESHOLD: Final = -3  # M_MMAP_THRESHOLD

#: Bytes of free memory that are kept.
KEPT: Final = 64 << 20

#: Bytes from which on an array is mapped for itself: the most that the library allows.
MAPPED: Final = 32 << 20


def keep_freed() -> bool:
    """Keep some freed memory, where the C library is GNU's and the user has not chosen otherwise.

    Returns:
        Whether that was done.
    """
    if sys.platform != "linux" or config.heap_chosen:
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    done = library.mallopt(_TRIM_THRESHOLD, KEPT) and library.mallopt(_MMAP_THRESHOLD, MAPPED)
    return bool(done)
