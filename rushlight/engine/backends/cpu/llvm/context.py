"""The table of what a program's code finds at run time: functions, numbers, objects of oneDNN.

No address stands in the code itself, so that it can be kept on disk for other processes.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from rushlight.engine.backends.cpu import onednn, threads

#: What stands at the beginning of every table, in this order.
PARALLEL, SET_THREADS, MAX_THREADS, THREAD_LIMIT = range(4)
SET_HANDLE, EXECUTE, STREAM = range(4, 7)
FIRST_FREE: Final = 7

_OPENMP: Final = {
    PARALLEL: "GOMP_parallel",
    SET_THREADS: "omp_set_num_threads",
    MAX_THREADS: "omp_get_max_threads",
}


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class Context:
    """Collects what code will need while it is written; makes the table when it is loaded.

    Attributes:
        needs: the entries among the fixed ones that the code uses.
    """

    __slots__ = ("_own", "needs")

    def __init__(self) -> None:
        self.needs: set[int] = set()
        self._own: list[int] = []

    def need(self, entry: int) -> int:
        """Use one of the fixed entries; its place in the table."""
        self.needs.add(entry)
        return entry

    def add(self, address: int) -> int:
        """Use an address of this program's; its place in the table."""
        self._own.append(address)
        return FIRST_FREE + len(self._own) - 1

    def table(self) -> Any:
        """The table, as an array of 8-byte numbers.

        Raises:
            RuntimeError: the code needs GNU OpenMP or oneDNN, which is not there.
        """
        made = (ctypes.c_uint64 * (FIRST_FREE + len(self._own)))()
        openmp = [entry for entry in _OPENMP if entry in self.needs]
        if openmp:
            runtime = threads.runtime()
            if runtime is None:
                raise RuntimeError("code for several threads needs GNU OpenMP (libgomp.so.1)")
            for entry in openmp:
                made[entry] = _address(getattr(runtime, _OPENMP[entry]))
        made[THREAD_LIMIT] = threads.limit()
        if EXECUTE in self.needs:
            library = onednn.library()
            made[EXECUTE] = _address(library.function("primitive_execute"))
            made[SET_HANDLE] = _address(library.function("memory_set_data_handle"))
            made[STREAM] = library.stream
        for place, address in enumerate(self._own):
            made[FIRST_FREE + place] = address
        return made
