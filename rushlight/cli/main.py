"""What ``rushlight ...`` and ``python -m rushlight ...`` do."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence

from rushlight.cli.info import report
from rushlight.cli.run import run
from rushlight.engine.backends.cpu.llvm import store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.

    Args:
        arguments: the words after the program's name, the process's own by default.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] == "run":  # what follows a program's name is the program's
        return run(words[1:])
    if words and words[0] == "launch" and _can_launch():
        launch = importlib.import_module("rushlight.cli.launch")
        return int(launch.main(words[1:]) or 0)
    chosen = _parser().parse_args(words)
    if chosen.command == "info":
        print(report())
    else:
        _cache(chosen.what)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rushlight", description="PyTorch's programs, recorded.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("run", help="run a program written for PyTorch: run --help says how")
    if _can_launch():
        commands.add_parser("launch", help="run a program as several processes: launch --help")
    commands.add_parser("info", help="versions, processor, threads, oneDNN, the cache of code")
    cache = commands.add_parser("cache", help="the machine code kept on disk")
    cache.add_argument("what", choices=["show", "clear"], nargs="?", default="show")
    return parser


def _can_launch() -> bool:
    return importlib.util.find_spec("rushlight.cli.launch") is not None


def _cache(what: str) -> None:
    if what == "clear":
        store.shared().clear()
    print(store.usage())


if __name__ == "__main__":
    sys.exit(main())
