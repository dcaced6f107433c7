"""What every source file has, and what none has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.rules.source import python_files, shown

#: Written so that this file does not trip over its own rule.
UNFINISHED = re.compile(
    r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK|tempo" + r"rary|for n" + r"ow)\b"
)


def unfinished(name: str, text: str) -> Iterator[str]:
    """Lines that put something off."""
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield f"{name}:{number} {line.strip()}"


def swallowed(name: str, text: str) -> Iterator[str]:
    """Handlers that catch everything, or that catch something and do nothing about it."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        wide = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
        silent = ast.Pass | ast.Continue if wide else ast.Pass
        if node.type is None or all(isinstance(inner, silent) for inner in node.body):
            yield f"{name}:{node.lineno} swallows an exception"


def header(name: str, text: str) -> Iterator[str]:
    """A module's docstring and, where it has code, the import that makes annotations free."""
    tree = ast.parse(text)
    if ast.get_docstring(tree) is None:
        yield f"{name}: no docstring"
    futures = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    if len(tree.body) > 1 and not futures and not name.endswith("__init__.py"):
        yield f"{name}: from __future__ import annotations is missing"


def undocumented(name: str, text: str) -> Iterator[str]:
    """Public functions and classes of a module without a docstring."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for node in ast.parse(text).body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            if ast.get_docstring(node) is None:
                yield f"{name}:{node.lineno} {node.name} has no docstring"


def named_operators(name: str, text: str) -> Iterator[str]:
    """Where an operator is told by its name, other than to print it: its record says what it is."""
    tree = ast.parse(text)
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    printed = {id(inner) for node in strings for inner in ast.walk(node)}
    for node in ast.walk(tree):
        asked = isinstance(node, ast.Attribute) and ast.unparse(node).endswith("op.name")
        looked_up = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
        if looked_up:
            looked_up = ast.unparse(node).startswith("Op.registry")
        if (asked or looked_up) and id(node) not in printed:
            yield f"{name}:{node.lineno} {ast.unparse(node)}"


RULES = {
    unfinished: ("rushlight", "tests", "benchmarks", "examples"),
    swallowed: ("rushlight", "tests", "benchmarks", "examples"),
    header: ("rushlight", "tests", "benchmarks"),
    undocumented: ("rushlight",),
    named_operators: ("rushlight/engine/compiler",),
}


@pytest.mark.parametrize("rule", RULES)
def test_every_file_keeps(rule) -> None:
    files = python_files(*RULES[rule])
    assert files
    assert [c for file in files for c in rule(shown(file), file.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        (unfinished, "x = 1  # TO" + "DO: more"),
        (swallowed, "try:\n    f()\nexcept ValueError:\n    pass"),
        (swallowed, "try:\n    f()\nexcept:\n    raise"),
        (swallowed, "while 1:\n    try:\n        f()\n    except Exception:\n        continue"),
        (header, "from __future__ import annotations"),
        (header, "'''Doc.'''\nimport a"),
        (undocumented, "def f(): ..."),
        (undocumented, "class A: ..."),
        (named_operators, "if node.spec.op.name == 'exp': pass"),
        (named_operators, "f(Op.registry['exp'])"),
    ],
)
def test_the_rules_notice(rule, bad: str) -> None:
    assert list(rule("a.py", bad))
