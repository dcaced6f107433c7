"""Facts that are written down in several places agree."""

from __future__ import annotations

import re
import tomllib

import rushlight
from tests.rules.source import PACKAGE, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_one_version() -> None:
    released = re.findall(
        r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M
    )
    assert rushlight.__version__.split("+")[0] == PROJECT["version"] == released[0]


def test_the_extras_of_the_design_exist() -> None:
    names = {"vision", "tensorboard", "distributed", "cuda", "oracle", "test", "all"}
    assert set(PROJECT["optional-dependencies"]) == names


def test_torch_is_no_dependency() -> None:
    others = {k: v for k, v in PROJECT["optional-dependencies"].items() if k != "oracle"}
    required = [*PROJECT["dependencies"], *(name for names in others.values() for name in names)]
    assert not [name for name in required if re.match(r"torch\b", name)]


def test_types_and_data_ship() -> None:
    assert (PACKAGE / "py.typed").exists()
    data = PACKAGE / "vision" / "datasets" / "_data"
    assert (data / "digits.npz").exists()
    for attribution in (data / "README.md", ROOT / "NOTICE"):
        text = attribution.read_text("utf-8")
        assert "10.24432/C50P49" in text
        assert "Attribution 4.0" in text


def test_the_readme_names_targets_that_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    named = re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text("utf-8"))
    assert {"run", "test"} <= set(named) <= set(targets)
