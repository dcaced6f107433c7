"""No garbage collection while the package is imported: it takes a fifth of the time.

An import makes tens of thousands of objects that stay, and the collector looks at all of them
again and again.
"""

from __future__ import annotations

import gc


class Pause:
    """Keeps the garbage collector from running until ``end``, or until the import has failed."""

    def __init__(self) -> None:
        self._running = gc.isenabled()
        gc.disable()

    def end(self) -> None:
        """Let it run again, if it did before; what is there by now counts as old."""
        if self._running:
            self._running = False
            if not gc.get_freeze_count():  # else they would be mixed with what somebody has frozen
                gc.freeze()
                gc.unfreeze()
            gc.enable()

    __del__ = end


pause = Pause()
