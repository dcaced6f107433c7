"""Files and functions stay small enough to be read in one go."""

from __future__ import annotations

import ast

import pytest

from tests.rules.source import functions, parse, python_files, shown

FILE_LINES = 500
FUNCTION_LINES = 60

#: What may be longer, how long, and why. An entry that is no longer needed fails the test.
EXCEPTIONS: dict[str, tuple[int, str]] = {
    "rushlight/engine/trace/prepared.py:binary": (
        81,
        "runs for every operation a program writes down; calls to parts of it would cost more "
        "than the rest",
    ),
    "rushlight/engine/trace/prepared.py:ternary": (90, "the same for three operands"),
    "rushlight/engine/trace/prepared.py:call": (73, "the functions that these two make"),
}


def long_file(name: str, text: str) -> list[str]:
    """The complaint about a file of too many lines, if there is one."""
    count = text.count("\n")
    allowed, _ = EXCEPTIONS.get(name, (FILE_LINES, ""))
    return [f"{name}: {count} lines, {allowed} allowed"] if count > allowed else []


def long_functions(name: str, tree: ast.AST) -> list[str]:
    """A complaint for every function of too many lines."""
    found = []
    for function in functions(tree):
        count = (function.end_lineno or function.lineno) - function.lineno + 1
        allowed, _ = EXCEPTIONS.get(f"{name}:{function.name}", (FUNCTION_LINES, ""))
        if count > allowed:
            found.append(f"{name}:{function.lineno} {function.name}: {count} lines")
    return found


def test_files_are_short() -> None:
    assert [c for f in python_files() for c in long_file(shown(f), f.read_text("utf-8"))] == []


def test_functions_are_short() -> None:
    assert [c for f in python_files() for c in long_functions(shown(f), parse(f))] == []


@pytest.mark.parametrize("entry", EXCEPTIONS)
def test_exceptions_are_needed(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, function = entry.partition(":")
    file = next(file for file in python_files() if shown(file) == name)
    _, reason = EXCEPTIONS[entry]
    monkeypatch.delitem(EXCEPTIONS, entry)
    complaints = long_functions(name, parse(file)) + long_file(name, file.read_text("utf-8"))
    assert reason
    assert [c for c in complaints if function in c]


def test_the_rules_notice() -> None:
    line = "    x = 1\n"
    method = "class A:\n    def f():\n" + ("    " + line) * FUNCTION_LINES
    assert long_functions("a.py", ast.parse(method))
    assert not long_functions("a.py", ast.parse("def f():\n" + line * (FUNCTION_LINES - 1)))
    assert long_file("a.py", "\n" * (FILE_LINES + 1))
    assert not long_file("a.py", "\n" * FILE_LINES)
