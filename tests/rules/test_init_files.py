"""An ``__init__`` only passes names on: code lives in modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.rules.source import parse, python_files, shown

#: The hooks through which a package passes names on when they are first asked for.
HOOKS = {"__getattr__", "__dir__"}


def _is_private(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.startswith("_")


def _updates_names(call: ast.expr) -> bool:
    """Whether this is ``globals().update(...)``: the names that the operator records make."""
    return isinstance(call, ast.Call) and ast.unparse(call.func) == "globals().update"


def own_code(name: str, tree: ast.Module) -> Iterator[str]:
    """Top-level statements that do more than import names and say which are public."""
    for node in tree.body:
        match node:
            case ast.Import() | ast.ImportFrom():
                continue
            case ast.Expr(value=ast.Constant(value=str())):
                continue
            case ast.Expr(value=call) if _updates_names(call):
                continue
            case ast.Assign(targets=targets) if all(map(_is_private, targets)):
                continue
            case ast.AnnAssign(target=target) if _is_private(target):
                continue
            case ast.FunctionDef(name=function) if function in HOOKS:
                continue
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
        yield f"{name}:{node.lineno} {ast.unparse(node).splitlines()[0]}"


def test_init_files_pass_names_on() -> None:
    files = [file for file in python_files("rushlight") if file.name == "__init__.py"]
    assert files
    assert [complaint for f in files for complaint in own_code(shown(f), parse(f))] == []


@pytest.mark.parametrize(
    "bad",
    ["def f(): ...", "class A: ...", "x = 1", "for x in y: ...", "if x:\n    import y", "f()"],
)
def test_the_rule_notices(bad: str) -> None:
    assert list(own_code("a/__init__.py", ast.parse(bad)))


def test_the_rule_allows() -> None:
    good = "'''Doc.'''\nfrom a import b\n__all__ = ['b']\ndef __getattr__(name): ..."
    assert not list(own_code("a/__init__.py", ast.parse("globals().update(f())")))
    assert not list(own_code("a/__init__.py", ast.parse(good)))
