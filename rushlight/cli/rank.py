"""One rank of a launched program: runs it as ``rushlight run`` does, and ends with its launcher."""

from __future__ import annotations

import argparse
import io
import os
import pdb
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from rushlight.cli.run import run
from rushlight.distributed import _world


def _end_with(pipe: int) -> None:
    """End this process, and all it has started, when the launcher is gone.

    Args:
        pipe: the reading end of a pipe whose other end the launcher holds.
    """
    os.set_inheritable(pipe, False)

    def watch() -> None:
        os.read(pipe, 1)
        _world.forget_memory()
        with suppress(OSError):  # the launcher may have been the reader
            print("rushlight launch has gone: this rank ends too", file=sys.stderr, flush=True)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, name="launcher", daemon=True).start()


class _Debugger(pdb.Pdb):
    """A debugger that stops at the program's first line."""

    began = False

    def user_call(self, frame: FrameType, argument_list: None) -> None:
        """A function begins."""
        if self.began:
            super().user_call(frame, argument_list)

    def user_return(self, frame: FrameType, return_value: object) -> None:
        """A function ends."""
        if self.began:
            super().user_return(frame, return_value)

    def user_exception(self, frame: FrameType, exc_info: Any) -> None:
        """Something is raised."""
        if self.began:
            super().user_exception(frame, exc_info)

    def user_line(self, frame: FrameType) -> None:
        """A line is about to run: the program's are those of the module ``__main__``."""
        main = vars(sys.modules["__main__"])
        if not self.began and (frame.f_globals is not main or frame.f_code.co_filename == __file__):
            return
        self.began = True
        super().user_line(frame)


def _debug(words: Sequence[str]) -> int:
    """Run a program in the debugger, which stops at its first line and where it fails."""
    debugger = _Debugger()
    try:
        return int(debugger.runcall(run, words) or 0)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        debugger.reset()
        debugger.interaction(None, error.__traceback__)
        _world.mark_failed()
        return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program named by the command line; the exit status.

    Args:
        arguments: the words of the command line, the process's own by default.
    """
    parser = argparse.ArgumentParser(prog="rushlight.cli.rank", allow_abbrev=False)
    parser.add_argument("--life", type=int, required=True)
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("-m", dest="module", action="store_true")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    _end_with(chosen.life)
    if isinstance(sys.stdout, io.TextIOWrapper):  # so that lines of several ranks do not mix
        sys.stdout.reconfigure(line_buffering=True, write_through=False)
    words = [*(["-m"] if chosen.module else []), *chosen.program]
    try:
        return _debug(words) if chosen.debug else run(words)
    except SystemExit as end:
        if end.code not in (None, 0):
            _world.mark_failed()
        raise


if __name__ == "__main__":
    sys.exit(main())
