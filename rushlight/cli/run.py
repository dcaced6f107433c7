"""``rushlight run``: executes a program written for PyTorch as ``python`` would, on rushlight."""

from __future__ import annotations

import builtins
import importlib.machinery
import io
import os
import pkgutil
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CodeType, ModuleType, TracebackType
from typing import Any

from rushlight.cli import aliases, children

USAGE = """\
usage: rushlight run [python's options] script.py [arguments]
       rushlight run [python's options] -m module [arguments]
       rushlight run [python's options] -c code [arguments]
       rushlight run [python's options] -            (the program comes from standard input)

Runs the program as python would. In it, and in every library it imports, torch, torchvision,
pytorch_lightning and lightning.pytorch are rushlight. Without a program, an interactive session.
"""

#: Python's options of one letter: alone, and with a word after them.
_SWITCHES = frozenset("bBdEiIOPqsSuvx")
_WITH_WORD = frozenset("WX")


@dataclass
class Program:
    """What is to be run, as the command line says it."""

    kind: str = ""  #: "script", "module", "code", or "" where nothing is named
    name: str = ""  #: the path, the module's name or the code
    arguments: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)  #: of the interpreter


def parse(words: Sequence[str]) -> Program:
    """Read a command line as python reads its own.

    Args:
        words: what follows ``rushlight run``.

    Raises:
        ValueError: an option that python has not, or one without its word.

    >>> from rushlight.cli.run import parse
    >>> found = parse(["-uc", "print(1)", "-v"])
    >>> found.options, found.kind, found.name, found.arguments
    (['-u'], 'code', 'print(1)', ['-v'])
    """
    program, rest = Program(), list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        for place, letter in enumerate(word[1:], 2):
            if letter in _SWITCHES:
                program.options.append(f"-{letter}")
                continue
            if letter not in "cm" and letter not in _WITH_WORD:
                raise ValueError(f"unknown option: {word}")
            if not word[place:] and not rest:
                raise ValueError(f"-{letter} expects a word after it")
            value = word[place:] or rest.pop(0)
            if letter in _WITH_WORD:
                program.options += [f"-{letter}", value]
                break
            program.kind, program.name = {"c": "code", "m": "module"}[letter], value
            program.arguments = rest
            return program
    if rest:
        program.kind, program.name, program.arguments = "script", rest[0], rest[1:]
    return program


def run(words: Sequence[str]) -> int:
    """Run a program; what it raises is raised, and is shown without a frame of rushlight's.

    Args:
        words: what follows ``rushlight run``.

    Returns:
        The exit status of a program that ends by itself, or that cannot be begun.
    """
    if words and words[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    try:
        program = parse(words)
    except ValueError as error:
        print(f"rushlight run: {error}\n{USAGE}", end="", file=sys.stderr)
        return 2
    if not program.kind and sys.stdin is not None and sys.stdin.isatty():
        program.options += ["-i", "-q"]
        program.kind = "code"
    if program.options:
        _begin_anew(program)
    aliases.install()
    children.install()
    try:
        return _execute(program)
    except BaseException as error:
        _show_without_own_frames(error)
        raise


def _begin_anew(program: Program) -> None:
    """Replace this process by an interpreter with the options, which then comes here again."""
    words = {"code": ["-c", program.name], "module": ["-m", program.name]}.get(program.kind)
    if words is None:
        words = [program.name] if program.name else []
    interpreter = [sys.executable, *program.options, "-m", "rushlight", "run"]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [*interpreter, *words, *program.arguments])


def _execute(program: Program) -> int:
    main = _fresh_main()
    if program.kind == "module":
        _place(os.getcwd(), "-m", program.arguments)
        _run_module(program.name, True)
    elif program.kind == "code":
        _place("", "-c", program.arguments)
        exec(compile(program.name, "<string>", "exec", dont_inherit=True), vars(main))
    elif program.name in ("", "-"):
        _place("", program.name, program.arguments)
        text = sys.stdin.buffer.read()
        with _File(main, "<stdin>"):
            exec(compile(text, "<stdin>", "exec", dont_inherit=True), vars(main))
    else:
        return _run_script(program, main)
    return 0


def _run_script(program: Program, main: ModuleType) -> int:
    here = os.getcwd()
    path = here if program.name == "." else os.path.join(here, program.name)  # not normalised
    if pkgutil.get_importer(path) is not None:  # a folder or an archive of modules
        _place(path, program.name, program.arguments)
        _run_module("__main__", False)
        return 0
    try:
        code = _code_of(path)
    except OSError as error:
        why = f"[Errno {error.errno}] {error.strerror}"
        print(f"rushlight run: can't open file {path!r}: {why}", file=sys.stderr)
        return 2
    _place(os.path.dirname(os.path.realpath(path)), program.name, program.arguments)
    kind = importlib.machinery.SourceFileLoader
    if path.endswith(".pyc"):
        main.__loader__ = importlib.machinery.SourcelessFileLoader("__main__", path)
    else:
        main.__loader__ = kind("__main__", path)
    with _File(main, path):
        exec(code, vars(main))
    return 0


def _run_module(name: str, replace_argument: bool) -> None:
    """What ``python -m`` does, with the interpreter's own means and its own frames."""
    getattr(runpy, "_run_module_as_main")(name, replace_argument)  # noqa: B009


def _code_of(path: str) -> CodeType:
    with io.open_code(path) as file:
        if path.endswith(".pyc"):
            code = pkgutil.read_code(file)
            if code is not None:
                return code
        return compile(file.read(), path, "exec", dont_inherit=True)


def _fresh_main() -> ModuleType:
    """A module ``__main__`` as the interpreter makes it, in place of the one that led here."""
    before, main = sys.modules["__main__"], ModuleType("__main__")
    names: dict[str, Any] = vars(main)
    names["__loader__"] = importlib.machinery.BuiltinImporter
    if "__annotations__" in vars(before):
        names["__annotations__"] = {}
    names["__builtins__"] = builtins
    sys.modules["__main__"] = main
    if "__mp_main__" in sys.modules:  # the name by which multiprocessing's children call it
        sys.modules["__mp_main__"] = main
    _REPLACED.append(before)
    return main


#: The modules that were ``__main__`` before; their frames are still to be left.
_REPLACED: list[ModuleType] = []


def _place(folder: str, name: str, arguments: list[str]) -> None:
    """Set the search path's first entry and the command line."""
    if not sys.flags.safe_path:
        sys.path[0] = folder
    sys.argv[:] = [name, *arguments]


class _File:
    """``__file__`` and ``__cached__`` while a file is run; they go when it has come to its end."""

    def __init__(self, main: ModuleType, path: str) -> None:
        self._names = vars(main)
        self._path = path

    def __enter__(self) -> None:
        self._names["__file__"] = self._path
        self._names["__cached__"] = None

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind is None:
            for name in ("__file__", "__cached__"):
                self._names.pop(name, None)


Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]


def _show_without_own_frames(error: BaseException) -> None:
    """The interpreter's report of ``error`` begins at the program's first frame.

    The exception goes its way, so that the interpreter ends as it always does: with the status of
    a ``SystemExit``, by the signal after Ctrl-C, with 1 after any other. On its way up it collects
    frames of ours, which are taken off when the interpreter asks the hook to report it.
    """
    hook: Hook = sys.excepthook
    shown = _program_frames(error.__traceback__)

    def report(kind: type[BaseException], raised: BaseException, seen: Any) -> None:
        if raised is not error:
            hook(kind, raised, seen)
            return
        sys.excepthook = hook
        sys.last_traceback = shown
        try:
            hook(kind, error.with_traceback(shown), shown)
        except Exception as broken:
            _report_broken_hook(broken, error)

    sys.excepthook = report


def _report_broken_hook(broken: Exception, error: BaseException) -> None:
    """What the interpreter says where the program's own ``sys.excepthook`` raises."""
    inner = broken.__traceback__.tb_next if broken.__traceback__ else None
    print("Error in sys.excepthook:", file=sys.stderr)
    broken.__suppress_context__ = True
    sys.__excepthook__(type(broken), broken.with_traceback(inner), inner)
    print("\nOriginal exception was:", file=sys.stderr)
    sys.__excepthook__(type(error), error, error.__traceback__)


def _program_frames(entry: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that is the program's."""
    while entry is not None and entry.tb_frame.f_code is not _execute.__code__:
        entry = entry.tb_next
    while entry is not None and entry.tb_frame.f_code.co_filename == __file__:
        entry = entry.tb_next
    return entry
