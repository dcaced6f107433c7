"""Who may import what, beyond the directions that import-linter holds (see pyproject.toml)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.rules.source import PACKAGE, first_word, functions, imported, parse, python_files, shown

NEVER = {"torch", "torchvision", "lightning", "pytorch_lightning"}
BACKEND_ONLY = {"ctypes", "llvmlite"}
BACKENDS = "rushlight/engine/backends/"
CONFIG = "rushlight/engine/core/config.py"

#: Libraries too heavy to load with the package; each is loaded where it is first needed.
LATE = {
    "PIL",
    "cuda",
    "cudnn",
    "cupy",
    "hashlib",
    "importlib",
    "llvmlite",
    "matplotlib",
    "mpi4py",
    "nccl",
    "nvmath",
    "safetensors",
    "scipy",
    "tempfile",
    "tensorboard",
    "tqdm",
}


def foreign_imports(name: str, tree: ast.AST) -> Iterator[str]:
    """Imports of PyTorch anywhere, and of ctypes or LLVM outside the backends."""
    for line, module in imported(tree):
        word = first_word(module)
        if word in NEVER:
            yield f"{name}:{line} imports {module}"
        if word in BACKEND_ONLY and not name.startswith(BACKENDS):
            yield f"{name}:{line} imports {module} outside {BACKENDS}"


def environment_reads(name: str, tree: ast.AST) -> Iterator[str]:
    """Uses of the environment's variables outside the one module that declares them."""
    if name == CONFIG:
        return
    words = {"environ", "environb", "getenv", "putenv"}
    for node in ast.walk(tree):
        attribute = isinstance(node, ast.Attribute) and node.attr in words
        if attribute and isinstance(node.value, ast.Name) and node.value.id == "os":
            yield f"{name}:{node.lineno} uses os.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            if words & {alias.name for alias in node.names}:
                yield f"{name}:{node.lineno} imports the environment"


def late_imports(name: str, tree: ast.AST) -> Iterator[str]:
    """Imports inside functions, except of heavy libraries."""
    for function in functions(tree):
        for line, module in imported(function):
            if first_word(module) not in LATE:
                yield f"{name}:{line} imports {module} inside {function.name}"


RULES = [foreign_imports, environment_reads, late_imports]


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps(rule) -> None:
    files = python_files("rushlight")
    assert any(PACKAGE in file.parents for file in files)
    assert [complaint for file in files for complaint in rule(shown(file), parse(file))] == []


@pytest.mark.parametrize(
    ("rule", "name", "bad"),
    [
        (foreign_imports, "rushlight/a.py", "import torch.nn as nn"),
        (foreign_imports, "rushlight/a.py", "def f():\n    from torchvision import ops"),
        (foreign_imports, "rushlight/engine/ops/a.py", "import ctypes"),
        (foreign_imports, "rushlight/engine/compiler/a.py", "from llvmlite import ir"),
        (environment_reads, "rushlight/a.py", "import os\nx = os.environ['A']"),
        (environment_reads, "rushlight/a.py", "import os\nx = os.getenv('A')"),
        (environment_reads, "rushlight/a.py", "from os import environ"),
        (late_imports, "rushlight/a.py", "def f():\n    from rushlight import nn"),
        (late_imports, "rushlight/a.py", "class A:\n    def f(self):\n        import json"),
    ],
)
def test_the_rules_notice(rule, name: str, bad: str) -> None:
    assert list(rule(name, ast.parse(bad)))


@pytest.mark.parametrize(
    ("rule", "name", "good"),
    [
        (foreign_imports, "rushlight/engine/backends/cpu/a.py", "import ctypes"),
        (foreign_imports, "rushlight/a.py", "import rushlight.torch_names"),
        (environment_reads, CONFIG, "import os\nx = os.environ['A']"),
        (environment_reads, "rushlight/a.py", "import os\nx = os.path"),
        (late_imports, "rushlight/a.py", "import json\ndef f():\n    from PIL import Image"),
    ],
)
def test_the_rules_allow(rule, name: str, good: str) -> None:
    assert not list(rule(name, ast.parse(good)))
