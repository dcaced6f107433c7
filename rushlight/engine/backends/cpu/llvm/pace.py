"""Whether a program's kernels open teams of threads, by what its runs have taken so far.

Note: the clock chooses threads, never numbers
    A team waits for its slowest thread. Where another process has that thread's core, a kernel of
    50 µs takes a scheduler's turn of milliseconds. So a program with teams tries both ways now and
    then, and keeps to the one that took less. Its numbers are the same to the bit: a team shares
    out the turns of a loop, of which none depends on another.
"""

from __future__ import annotations

from typing import Any, Final

#: Runs that are averaged, and fewer for a first look at the other way.
WINDOW: Final = 16
TRIAL: Final = 6

#: Windows until the other way is tried again: at first, and after many trials in vain.
SHORTEST: Final = 16
LONGEST: Final = 256

#: Times slower than the other way was: look at that at once.
SUSPICIOUS: Final = 1.5


class Pace:
    """Sets the number of threads in a program's table after each of its runs.

    Args:
        table: the table of the program's code.
        entry: the place of the most threads that it may use.
    """

    __slots__ = ("_entry", "_left", "_many", "_means", "_runs", "_size", "_stay", "_table",
                 "_total", "_trial", "team")  # fmt: skip

    def __init__(self, table: Any, entry: int) -> None:
        self._table = table
        self._entry = entry
        self._many = table[entry]
        self._means = {True: float("inf"), False: float("inf")}
        self._stay = SHORTEST
        self._left = 1
        self._trial = False
        self.team = True
        self._begin(WINDOW)

    def _begin(self, size: int, skipped: int = 1) -> None:
        """Begin a window; its first runs do not count: they may have to wake the team."""
        self._size = size
        self._total = 0
        self._runs = -skipped

    def _use(self, team: bool) -> None:
        self.team = team
        self._table[self._entry] = self._many if team else 1

    def note(self, nanoseconds: int) -> None:
        """Take notice of what a run has taken."""
        self._runs += 1
        if self._runs <= 0:
            return
        self._total += nanoseconds
        if self._runs < self._size:
            return
        mean = self._total / self._runs
        self._means[self.team] = mean
        other = self._means[not self.team]
        if self._trial:
            self._settle(mean < other)
        else:
            self._left -= 1
            if self._left <= 0 or mean > SUSPICIOUS * other:
                self._trial = True
                self._use(not self.team)
                self._begin(TRIAL)
            else:
                self._begin(WINDOW, skipped=0)

    def _settle(self, better: bool) -> None:
        """Keep the way that has been tried, or go back."""
        self._trial = False
        self._stay = SHORTEST if better else min(2 * self._stay, LONGEST)
        self._left = self._stay
        if not better:
            self._use(not self.team)
        self._begin(WINDOW)
