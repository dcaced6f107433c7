"""What a training program logs with."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from types import TracebackType
from typing import Any

from rushlight.utils.tensorboard import summary
from rushlight.utils.tensorboard._file_writer import FileWriter as FileWriter
from rushlight.utils.tensorboard._graph import graph
from rushlight.utils.tensorboard._media import MediaWriting
from rushlight.utils.tensorboard._numbers import NumberWriting
from rushlight.utils.tensorboard._protos import Event, SessionLog


class SummaryWriter(NumberWriting, MediaWriting):
    """Writes what TensorBoard shows, in a thread of its own.

    See https://docs.pytorch.org/docs/stable/tensorboard.html. What has not been written when the
    program ends is written then, ``close`` or not.

    Args:
        log_dir: the folder; by default ``runs/<date>_<host><comment>``.
        comment: the end of the default folder's name.
        purge_step: after a crash: what was logged for this step and later ones is not shown.
        max_queue: how many events may wait before the program waits for the file.
        flush_secs: after how many seconds at the latest the file is brought up to date.
        filename_suffix: the end of the file's name.

    >>> import os, tempfile
    >>> from rushlight.utils.tensorboard import SummaryWriter
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with SummaryWriter(folder) as writer:
    ...         for step in range(3):
    ...             writer.add_scalar("loss", 1 / (step + 1), step)
    ...     len(os.listdir(folder))
    1
    """

    file_writer: FileWriter | None
    all_writers: dict[str, FileWriter] | None

    def __init__(
        self, log_dir: Any = None, comment: str = "", purge_step: int | None = None,
        max_queue: int = 10, flush_secs: int = 120, filename_suffix: str = "",
    ) -> None:  # fmt: skip
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = log_dir
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self.default_bins = list(summary.EDGES)
        self.file_writer = self.all_writers = None
        self._get_file_writer()

    def _get_file_writer(self) -> FileWriter:
        """The open file; a new one after ``close``."""
        if self.file_writer is None or self.all_writers is None:
            writer = FileWriter(self.log_dir, self.max_queue, self.flush_secs, self.filename_suffix)
            self.file_writer, self.all_writers = writer, {writer.get_logdir(): writer}
            if self.purge_step is not None:
                writer.add_event(Event(file_version="brain.Event:2"), self.purge_step)
                start = SessionLog(status=SessionLog.START)
                writer.add_event(Event(session_log=start), self.purge_step)
                self.purge_step = None
        return self.file_writer

    def get_logdir(self) -> Any:
        """The folder."""
        return self.log_dir

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:  # fmt: skip
        """Add the operations of a model, grouped by its modules.

        The model is run in evaluation mode; its mode, its buffers and the state of the random
        numbers stay as they are.

        Args:
            model: the module.
            input_to_model: what it is called with: a tensor, or a tuple or list of arguments.
            verbose: print the operations, too.
            use_strict_trace: accepted for PyTorch's sake: here lists and dictionaries are no
                obstacle.

        Raises:
            RuntimeError: no input is given; or what the model raises.

        >>> import tempfile
        >>> import rushlight as torch
        >>> from rushlight.utils.tensorboard import SummaryWriter
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
        >>> with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
        ...     writer.add_graph(model, torch.zeros(1, 3), verbose=True)
        input/input: IO Node() [1, 3]
        Sequential/Linear[0]/bias: Parameter() [2]
        Sequential/Linear[0]/weight: Parameter() [2, 3]
        Sequential/Linear[0]/linear: aten::linear(bias, input, weight) [1, 2]
        Sequential/ReLU[1]/relu: aten::relu(linear) [1, 2]
        output/output.1: IO Node(relu) [1, 2]
        """
        made, profile, printed = graph(model, input_to_model)
        if verbose:
            print(printed)
        self._get_file_writer().add_graph((made, profile))

    def flush(self) -> None:
        """Have everything on disk."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Have everything on disk, and close the files; logging more opens new ones."""
        for writer in (self.all_writers or {}).values():
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()
