"""``rushlight run`` does with a program what ``python`` does with it."""

from __future__ import annotations

import os
import signal
import zipfile
from pathlib import Path

import pytest

from rushlight.cli import main
from rushlight.cli.run import parse

#: Prints all that a program can tell about how it was begun.
TELL = '''"""What the program is told."""
import atexit, sys
print(list(globals()), __name__, __doc__, __package__, __spec__ and __spec__.name, __builtins__)
names = globals()
print(names.get("__file__"), names.get("__cached__"), getattr(__loader__, "path", __loader__))
print(sys.argv, sys.path[0], sys.flags, sys.stdout.write_through)
import __main__
print(__main__.__dict__ is names, __main__, sys.modules["__main__"] is __main__)
print(sys.stdin.read())
atexit.register(lambda: print("at exit", "__file__" in names, "__main__" in sys.modules))
'''

FAILING = (
    "def f():\n    raise ValueError('no')\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    f()\n"
)
HOOKED = """import sys, traceback
def hook(kind, error, frames):
    print(kind, error, [f.name for f in traceback.extract_tb(frames)])
    print(error.__traceback__ is frames, sys.last_value is error, "__file__" in globals())
sys.excepthook = hook
def f(): 1 / 0
f()
"""
BROKEN_HOOK = "import sys\ndef hook(*rest): raise KeyError(3)\nsys.excepthook = hook\n1 / 0\n"
INTERRUPTED = """import atexit, os, signal
atexit.register(print, "at exit")
os.kill(os.getpid(), signal.SIGINT)
import time; time.sleep(60)
"""


@pytest.fixture
def programs(tmp_path: Path) -> None:
    """The programs that the command lines below name."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in {
        "tell.py": TELL,
        "package/tell.py": TELL,
        "package/__main__.py": TELL,
        "failing.py": FAILING,
        "hooked.py": HOOKED,
        "broken_hook.py": BROKEN_HOOK,
        "interrupted.py": INTERRUPTED,
        "wrong.py": "x = (\n",
        "leaving.py": "raise SystemExit('bye')\n",
        "three.py": "import sys; sys.exit(3)\n",
    }.items():
        (tmp_path / name).write_text(text)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", TELL)
    os.symlink(package / "tell.py", tmp_path / "linked.py")


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    "words",
    [
        ("tell.py", "a", "-b", "--c"),
        ("./package/tell.py",),
        ("linked.py",),
        ("package", "a"),
        ("archive.zip", "a"),
        ("-m", "package", "-x"),
        ("-m", "package.tell", "-x"),
        ("-c", TELL, "-x"),
        ("-uOc", TELL),
        ("-W", "error", "-Xdev", "tell.py"),
        ("failing.py",),
        ("-m", "failing"),
        ("-c", "1 / 0"),
        ("hooked.py",),
        ("broken_hook.py",),
        ("wrong.py",),
        ("leaving.py",),
        ("three.py",),
        ("interrupted.py",),
        ("-m", "interrupted"),
        ("-m", "missing_module"),
    ],
    ids=lambda words: " ".join(words)[:30].partition("\n")[0],
)
def test_as_python_runs_it(python, rushlight_run, words: tuple[str, ...]) -> None:
    wanted, got = (start(*words, stdin="what was typed") for start in (python, rushlight_run))
    assert got.stdout == wanted.stdout
    assert got.stderr == wanted.stderr
    assert got.returncode == wanted.returncode


@pytest.mark.parametrize("words", [(), ("-", "a")])
@pytest.mark.parametrize("program", [TELL.replace("sys.stdin.read()", "3"), FAILING])
def test_a_program_from_standard_input(python, rushlight_run, words, program: str) -> None:
    wanted, got = (start(*words, stdin=program) for start in (python, rushlight_run))
    assert (got.stdout, got.stderr) == (wanted.stdout, wanted.stderr)
    assert got.returncode == wanted.returncode


@pytest.mark.usefixtures("programs")
def test_the_comparison_notices(python) -> None:
    assert python("interrupted.py").returncode == -signal.SIGINT
    assert "at exit False True" in python("tell.py").stdout
    assert python("hooked.py").stdout.endswith("True True True\n")


def test_a_file_that_is_not_there(rushlight_run, tmp_path: Path) -> None:
    done = rushlight_run("missing.py")
    path = tmp_path / "missing.py"
    assert done.returncode == 2
    assert done.stderr == (
        f"rushlight run: can't open file '{path}': [Errno 2] No such file or directory\n"
    )


def test_wrong_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-z"]) == 2
    assert capsys.readouterr().err.startswith("rushlight run: unknown option: -z\nusage: ")
    assert main(["run", "-m"]) == 2
    assert "-m expects a word after it" in capsys.readouterr().err
    assert main(["run", "--help"]) == 0
    assert "-m module [arguments]" in capsys.readouterr().out


def test_a_command_line_is_read_as_python_reads_it() -> None:
    found = parse(["-uW", "error", "-Xdev", "a.py", "-m", "b"])
    assert found.options == ["-u", "-W", "error", "-X", "dev"]
    assert (found.kind, found.name, found.arguments) == ("script", "a.py", ["-m", "b"])
    assert parse(["-mtorch.utils.data", "-c"]).name == "torch.utils.data"
    assert parse(["--", "-a.py"]).name == "-a.py"
    assert parse([]).kind == ""


def test_an_isolated_interpreter_keeps_its_search_path(rushlight_run) -> None:
    done = rushlight_run("-P", "-c", "import sys; print(sys.path[0])")
    assert done.stdout == python_path()


def python_path() -> str:
    """The first entry of the search path that the tests' processes start with."""
    return f"{Path(__file__).resolve().parents[2]}\n"
