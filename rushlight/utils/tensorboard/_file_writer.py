"""The file of events that a writer adds to.

Note: numbers that are still to be computed
    Reading a pending tensor would run what has been recorded so far and cut a training step in
    two. An event whose number is pending therefore waits, with all events after it, until something
    else has had the number computed, until the file is flushed or closed, or until ``max_queue``
    events wait. A value never changes, so it is the number of the moment it was logged.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rushlight._tensor import Tensor
from rushlight.engine.trace.recorder import wrap
from rushlight.utils.tensorboard._protos import Event, EventFileWriter, TaggedRunMetadata

#: Writers that have not been closed: what they still have to write is written at the end.
_open: set[FileWriter] = set()


def _pending(tensor: Any) -> Any:
    """The number of a tensor as it is now, if it has not been computed yet; else ``None``."""
    if not isinstance(tensor, Tensor) or tensor.numel() != 1:
        return None
    value = tensor._read()
    return wrap(value) if value.buffer is None else None


class FileWriter:
    """Writes events to a file in a folder, in a thread of its own.

    Args:
        log_dir: the folder.
        max_queue: how many events may wait before the program waits for the file.
        flush_secs: after how many seconds at the latest the file is brought up to date.
        filename_suffix: the end of the file's name.

    >>> import os, tempfile
    >>> from rushlight.utils.tensorboard import FileWriter, summary
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = FileWriter(folder, filename_suffix=".run1")
    ...     writer.add_summary(summary.scalar("loss", 0.5), global_step=1)
    ...     writer.close()
    ...     os.listdir(folder)[0].endswith(".run1")
    True
    """

    def __init__(
        self, log_dir: Any, max_queue: int = 10, flush_secs: int = 120, filename_suffix: str = ""
    ) -> None:
        self._settings = os.fspath(log_dir), max_queue, flush_secs, filename_suffix
        self.event_writer = EventFileWriter(*self._settings)
        self._waiting: deque[tuple[Any, Any, Callable[[Any], Any] | None]] = deque()
        self._most = max_queue
        self._lock = threading.RLock()  # threads may share a writer
        self._process = os.getpid()
        _open.add(self)

    def get_logdir(self) -> str:
        """The folder."""
        folder: str = self.event_writer.get_logdir()
        return folder

    def _write(self, patiently: bool) -> None:
        """Write what waits, as far as its numbers are there, or all of it."""
        with self._lock:
            while self._waiting:
                event, tensor, make = self._waiting[0]
                if make is not None and patiently and tensor._value.buffer is None:
                    return
                self._waiting.popleft()
                if make is not None:
                    event.summary.CopyFrom(make(tensor))
                self.event_writer.add_event(event)

    def _enter(self, event: Any, tensor: Any, make: Any, step: Any, walltime: Any) -> None:
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        with self._lock:
            self._waiting.append((event, tensor, make))
            self._write(patiently=len(self._waiting) <= self._most)

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """Write an event.

        Args:
            event: TensorBoard's ``Event``; its time and step are set.
            step: the step it belongs to.
            walltime: seconds since 1970, by default now.
        """
        self._enter(event, None, None, step, walltime)

    def add_summary(
        self, summary: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Write a summary; ``rushlight.utils.tensorboard.summary`` makes them."""
        self.add_event(Event(summary=summary), global_step, walltime)

    def add_number(
        self, make: Callable[[Any], Any], x: Any, global_step: Any, walltime: float | None
    ) -> None:
        """Write the summary ``make(x)`` of one number, once that number has been computed."""
        tensor = _pending(x)
        if tensor is None:
            self.add_summary(make(x), global_step, walltime)
        else:
            self._enter(Event(), tensor, make, global_step, walltime)

    def add_graph(self, graph_profile: Any, walltime: float | None = None) -> None:
        """Write a graph: its ``GraphDef``, and the ``RunMetadata`` of one step."""
        graph, profile = graph_profile
        self.add_event(Event(graph_def=graph.SerializeToString()), None, walltime)
        metadata = TaggedRunMetadata(tag="step1", run_metadata=profile.SerializeToString())
        self.add_event(Event(tagged_run_metadata=metadata), None, walltime)

    def flush(self) -> None:
        """Have everything on disk."""
        self._write(patiently=False)
        self.event_writer.flush()

    def close(self) -> None:
        """Have everything on disk, and close the file."""
        _open.discard(self)
        self._write(patiently=False)
        self.event_writer.close()

    def reopen(self) -> None:
        """Go on after ``close``, in a new file of the same folder; nothing if it is open."""
        if self not in _open:
            _open.add(self)
            self.event_writer = EventFileWriter(*self._settings)


@atexit.register
def _close_all() -> None:
    """Write at the end of the program what its author did not wait for."""
    for writer in list(_open):
        if writer._process == os.getpid():
            writer.close()
