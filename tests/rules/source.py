"""What the rules look at: the project's files, parsed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "rushlight"


def python_files(*folders: str) -> list[Path]:
    """The Python files below these folders of the project, or of all that hold our own code."""
    chosen = folders or ("rushlight", "tests", "benchmarks", "examples", "tools")
    files = (file for folder in chosen for file in sorted((ROOT / folder).rglob("*.py")))
    return [file for file in files if "seeds" not in file.relative_to(ROOT).parts]


def shown(file: Path) -> str:
    """The path as messages name it."""
    return file.relative_to(ROOT).as_posix()


def parse(file: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def first_word(name: str) -> str:
    """The distribution a dotted name belongs to."""
    return name.split(".")[0]
