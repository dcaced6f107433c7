"""Write the type stubs from the operator records, so that editors complete ``torch.`` names.

``python -m tools.generate_stubs`` writes them, ``--check`` only says whether they are up to date.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import keyword
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "rushlight"

_HEADER = '''"""Generated from the operator records by tools/generate_stubs.py; do not edit."""

import builtins
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rushlight._tensor import Tensor as Tensor
'''

_KNOWN = {
    "Any", "None", "bool", "int", "float", "str", "complex", "list", "tuple", "dict", "Sequence",
    "Iterable", "Callable", "set",
}  # fmt: skip


def _annotation(text: Any) -> str:
    """An annotation if it is made of plain names, else ``Any``."""
    words = set(re.findall(r"[A-Za-z_][A-Za-z_.]*", str(text)))
    if not words or not words <= _KNOWN:
        return "Any"
    # torch.int, torch.float and torch.bool are dtypes, so the built-in types need their full name
    return re.sub(r"\b(int|float|bool|complex)\b", r"builtins.\1", str(text))


def _default(value: Any) -> str:
    return repr(value) if isinstance(value, (int, float, str, bool, type(None))) else "..."


def _signature(function: Callable[..., Any], method: bool, returns: str) -> str:
    parts, star = [], False
    for parameter in inspect.signature(function).parameters.values():
        name = parameter.name + ("_" if keyword.iskeyword(parameter.name) else "")
        if parameter.kind == parameter.VAR_POSITIONAL:
            parts.append(f"*{name}: Any")
            star = True
            continue
        if parameter.kind == parameter.VAR_KEYWORD:
            parts.append(f"**{name}: Any")
            continue
        if parameter.kind == parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        given = parameter.annotation
        text = f"{name}: {_annotation(given) if given is not parameter.empty else 'Any'}"
        if parameter.default is not parameter.empty:
            text += f" = {_default(parameter.default)}"
        parts.append(text)
    if method:
        parts = ["self", *parts[1:]]
    return f"({', '.join(parts)}) -> {returns}"


class _Returns:
    """What every function returns, found by calling it on its first sample."""

    def __init__(self) -> None:
        from tests.ops.harness import faces, make_call, run_own

        self._tensors = set()
        for face in faces():
            for sample in list(face.samples)[:1]:
                result, _ = run_own(face, make_call(face, sample))
                if type(result).__name__ == "Tensor":
                    self._tensors.add(face.record.public_name)

    def of(self, name: str) -> str:
        """The return annotation of a function or method."""
        return "Tensor" if name.rstrip("_") in self._tensors or name in self._tensors else "Any"


def _function_lines(names: dict[str, Callable[..., Any]], returns: _Returns) -> list[str]:
    lines = []
    for name in sorted(names):
        function = names[name]
        plain = getattr(function, "__wrapped__", function)
        signature = _signature(plain, False, returns.of(name))
        lines.append(f"def {name}{signature}: ...")
    return lines


def _namespace_stub(name: str, returns: _Returns) -> str:
    from rushlight._api import api

    return "\n".join([_HEADER, *_function_lines(api.namespaces.get(name, {}), returns), ""])


def _root_stub(returns: _Returns) -> str:
    """The names of the package: what it imports, what it imports late, and the operators."""
    source = (PACKAGE / "__init__.py").read_text()
    imports = source.split("__version__")[0].split('"""', 2)[2]
    imports = re.sub(r"^from importlib.*\n|^from rushlight\.(_bind|engine\.core\.dtype) import "
                     r"(namespace as _namespace|ALIASES as _ALIASES)\n", "", imports, flags=re.M)  # fmt: skip
    lazy = importlib.import_module("rushlight")._LAZY
    from rushlight._api import api
    from rushlight.engine.core.dtype import ALIASES

    lines = [
        '"""Generated from the operator records by tools/generate_stubs.py; do not edit."""',
        "import builtins",
        imports.strip(),
        f"from rushlight import {', '.join(f'{name} as {name}' for name in lazy)}",
        "from collections.abc import Callable, Iterable, Sequence",
        "from typing import Any",
        "",
        "__version__: str",
    ]
    lines += [f"{name}: dtype" for name in ALIASES]
    taken = set(re.findall(r"as (\w+)", imports))
    functions = {n: f for n, f in api.namespaces["torch"].items() if n not in taken}
    return "\n".join([*lines, *_function_lines(functions, returns), ""])


def _methods_stub(returns: _Returns) -> str:
    from rushlight._api import api
    from rushlight._tensor import Tensor

    own = set(vars(Tensor)) - set(api.methods)
    lines = [_HEADER, "class TensorMethods:", '    """The methods of Tensor made from records."""']
    for name in sorted(set(api.methods) - own):
        function = api.methods[name]
        kind = "Any" if name.endswith("_") else returns.of(name)
        kind = "Tensor" if name.endswith("_") else kind
        lines.append(f"    def {name}{_signature(function, True, kind)}: ...")
    for dunder in _dunders(Tensor):
        kind = "Tensor"
        arguments = "self" if dunder in ("__neg__", "__abs__", "__invert__", "__pos__") else (
            "self, other: Any"
        )
        ignore = "  # type: ignore[override]" if dunder in ("__eq__", "__ne__") else ""
        lines.append(f"    def {dunder}({arguments}) -> {kind}: ...{ignore}")
    return "\n".join([*lines, ""])


def _dunders(tensor: type) -> list[str]:
    plain = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift", "matmul"]
    names = [f"__{prefix}{n}__" for n in plain for prefix in ("", "r")]
    names += [f"__{n}__" for n in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "abs", "invert")]
    return [name for name in names if name in vars(tensor)]


def stubs() -> dict[Path, str]:
    """Every stub file and its contents."""
    package: ModuleType = importlib.import_module("rushlight")
    assert package.__file__ is not None
    returns = _Returns()
    return {
        PACKAGE / "__init__.pyi": _root_stub(returns),
        PACKAGE / "_methods.pyi": _methods_stub(returns),
        PACKAGE / "nn" / "functional.pyi": _namespace_stub("nn.functional", returns),
        PACKAGE / "linalg" / "__init__.pyi": _namespace_stub("linalg", returns),
        PACKAGE / "special" / "__init__.pyi": _namespace_stub("special", returns),
        PACKAGE / "fft" / "__init__.pyi": _namespace_stub("fft", returns),
    }


def main() -> int:
    """Write the stubs, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether they are up to date")
    arguments = parser.parse_args()
    stale = []
    for path, text in stubs().items():
        if not path.exists() or path.read_text() != text:
            stale.append(path)
            if not arguments.check:
                path.write_text(text)
    for path in stale:
        print(("stale: " if arguments.check else "wrote ") + str(path.relative_to(ROOT)))
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
