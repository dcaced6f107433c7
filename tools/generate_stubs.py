"""Write the type stubs from the operator records, so that editors complete ``torch.`` names.

``python -m tools.generate_stubs`` writes them, ``--check`` only says whether they are up to date.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import keyword
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rushlight
from rushlight import _tensor
from rushlight._api import api
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import ALIASES
from tests.ops.harness import faces, make_call, quiet, run_own

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "rushlight"

_TITLE = '"""Generated from the operator records by tools/generate_stubs.py; do not edit."""'
_IMPORTS = """
import builtins
from collections.abc import Callable, Iterable, Sequence
from typing import Any
"""
_HEADER = f"{_TITLE}\n{_IMPORTS}\nfrom rushlight._tensor import Tensor\n"

#: The namespaces that have a stub of their own.
_NAMESPACES = {
    "nn.functional": "nn/functional.pyi",
    "linalg": "linalg/__init__.pyi",
    "special": "special/__init__.pyi",
    "fft": "fft/__init__.pyi",
}

_KNOWN = {
    "Any", "None", "bool", "int", "float", "str", "complex", "list", "tuple", "dict", "Sequence",
    "Iterable", "Callable", "set",
}  # fmt: skip

# signatures ---------------------------------------------------------------------------------------


def _annotation(text: Any) -> str:
    """An annotation if it is made of plain names, else ``Any``."""
    words = set(re.findall(r"[A-Za-z_][A-Za-z_.]*", str(text)))
    if not words or not words <= _KNOWN:
        return "Any"
    # torch.int, torch.float and torch.bool are dtypes, so the built-in types need their full name
    return re.sub(r"\b(int|float|bool|complex)\b", r"builtins.\1", str(text))


def _default(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "..."
    return repr(value) if isinstance(value, (int, float, str, bool, type(None))) else "..."


def _parameter(parameter: inspect.Parameter) -> str:
    name = parameter.name + ("_" if keyword.iskeyword(parameter.name) else "")
    if parameter.kind == parameter.VAR_POSITIONAL:
        return f"*{name}: Any"
    if parameter.kind == parameter.VAR_KEYWORD:
        return f"**{name}: Any"
    text = f"{name}: {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        text += f" = {_default(parameter.default)}"
    return text


def _signature(
    function: Callable[..., Any], returns: str, method: bool = False, out: bool = False
) -> str:
    """``(parameters) -> returns`` of a function, with ``out=`` if that is wanted."""
    inner = getattr(function, "__wrapped__", function)
    given = list(inspect.signature(inner).parameters.values())
    parts: list[str] = []
    star = False
    for before, parameter in zip([None, *given], given, strict=False):
        if before is not None and before.kind == before.POSITIONAL_ONLY != parameter.kind:
            parts.append("/")
        if parameter.kind == parameter.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or parameter.kind in (parameter.VAR_POSITIONAL, parameter.KEYWORD_ONLY)
        parts.append(_parameter(parameter))
    kinds = {parameter.kind for parameter in given}
    if out and inspect.Parameter.VAR_KEYWORD not in kinds:
        parts += ["out: Any = None"] if star else ["*", "out: Any = None"]
    if method:
        parts[:1] = ["self"]
    return f"({', '.join(parts)}) -> {returns}"


class _Returns:
    """What every function returns, found by calling it on its samples."""

    def __init__(self) -> None:
        self._found: dict[str, set[str]] = {}
        for face in faces():
            names = {face.record.public_name, face.record.method_name}
            for sample in face.samples:
                with quiet():
                    result, _ = run_own(face, make_call(face, sample))
                for name in names:
                    self._found.setdefault(name, set()).add(self._kind(result))

    @staticmethod
    def _kind(result: Any) -> str:
        if type(result) is Tensor:
            return "Tensor"
        if type(result) in (tuple, list) and all(type(part) is Tensor for part in result):
            return "tuple[Tensor, ...]" if type(result) is tuple else "list[Tensor]"
        return "Any"

    def of(self, name: str) -> str:
        """The return annotation of a function or method."""
        if name.endswith("_"):
            return "Tensor"  # the in-place form of a function gives the tensor it wrote into
        kinds = self._found.get(name, set())
        return next(iter(kinds)) if len(kinds) == 1 else "Any"


# files --------------------------------------------------------------------------------------------


def _function_lines(names: dict[str, Callable[..., Any]], returns: _Returns) -> Iterator[str]:
    for name in sorted(names):
        inplace = name.endswith("_")
        function = names.get(name[:-1], names[name]) if inplace else names[name]
        out = not inplace and hasattr(function, "__wrapped__")
        yield f"def {name}{_signature(function, returns.of(name), out=out)}: ..."


def _namespace_stub(name: str, returns: _Returns) -> str:
    return "\n".join([_HEADER, *_function_lines(api.namespaces.get(name, {}), returns), ""])


def _public_imports() -> Iterator[ast.ImportFrom]:
    """The imports of the package, without the names that it keeps to itself."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            node.names = [n for n in node.names if not (n.asname or n.name).startswith("_")]
            if node.names:
                yield node


def _root_stub(returns: _Returns) -> str:
    """The names of the package: what it imports, what it imports late, and the operators."""
    imports = list(_public_imports())
    taken = {alias.asname or alias.name for node in imports for alias in node.names}
    legacy = sorted(set(rushlight._LEGACY) - taken)
    functions = {n: f for n, f in api.namespaces["torch"].items() if n not in taken}
    late = ", ".join(f"{name} as {name}" for name in rushlight._LAZY)
    return "\n".join(
        [
            f"{_TITLE}\n{_IMPORTS}",
            *map(ast.unparse, imports),
            f"from rushlight import {late}",
            *(
                f"from rushlight.{part} import {name} as {name}"
                for name, part in rushlight._LAZY_FUNCTIONS.items()
            ),
            "",
            "__version__: str",
            *(f"{name}: dtype" for name in ALIASES),
            *(f"{name}: Any" for name in legacy),
            *_function_lines(functions, returns),
            "",
        ]
    )


def _own_names() -> set[str]:
    """What the body of the class itself defines."""
    assert _tensor.__file__ is not None
    module = ast.parse(Path(_tensor.__file__).read_text("utf-8"))
    body = next(n for n in module.body if isinstance(n, ast.ClassDef) and n.name == "Tensor").body
    names = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def _bound_names() -> Iterator[str]:
    """The names that Tensor gets from elsewhere: methods, properties, operators."""
    compared = {f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge")}
    for name in sorted(set(vars(Tensor)) - _own_names()):
        if not name.startswith("_"):
            yield name
        elif name.startswith("__") and inspect.isfunction(vars(Tensor)[name]):
            if name not in vars(object) or name in compared:
                yield name


def _method_lines(name: str, returns: _Returns) -> Iterator[str]:
    found = vars(Tensor)[name]
    if isinstance(found, property):
        yield f"@property\ndef {name}(self) -> Tensor: ..."
        if found.fset is not None:
            yield f"@{name}.setter\ndef {name}(self, value: Any) -> None: ..."
    elif name.startswith("__i") and f"__{name[3:]}" in vars(Tensor):
        yield f"def {name}(self, other: Any) -> Tensor: ..."
    elif name.startswith("__"):
        kind = "None" if name == "__setitem__" else "Tensor"
        ignore = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
        yield f"def {name}{_signature(found, kind, True)}: ...{ignore}"
    else:
        plain = vars(Tensor).get(name[:-1]) if name.endswith("_") else None
        yield f"def {name}{_signature(plain or found, returns.of(name), True)}: ..."


def _methods_stub(returns: _Returns) -> str:
    lines = [_HEADER, "class TensorMethods:", '    """The methods of Tensor made from records."""']
    for name in _bound_names():
        for text in _method_lines(name, returns):
            lines += [f"    {line}" for line in text.splitlines()]
    return "\n".join([*lines, ""])


def stubs() -> dict[Path, str]:
    """Every stub file and its contents."""
    returns = _Returns()
    found = {
        PACKAGE / "__init__.pyi": _root_stub(returns),
        PACKAGE / "_methods.pyi": _methods_stub(returns),
    }
    for name, file in _NAMESPACES.items():
        found[PACKAGE / file] = _namespace_stub(name, returns)
    return found


def stale(contents: dict[Path, str]) -> list[Path]:
    """The files that do not hold what they should."""
    return [
        path
        for path, text in contents.items()
        if not path.exists() or path.read_text("utf-8") != text
    ]


def main() -> int:
    """Write the stubs, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether they are up to date")
    arguments = parser.parse_args()
    contents = stubs()
    changed = stale(contents)
    for path in changed:
        if not arguments.check:
            path.write_text(contents[path], "utf-8")
        print(("stale: " if arguments.check else "wrote ") + str(path.relative_to(ROOT)))
    return 1 if changed and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
