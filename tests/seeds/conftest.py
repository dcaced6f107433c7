"""Runs the blocks of the seed notes with rushlight as their ``torch``, and with PyTorch beside it."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import os
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rushlight._names import own_name, package_of
from rushlight.cli import aliases

#: The authors' programs import ``torch``: they are read by ``play``, not collected as modules.
collect_ignore_glob = ["programs/*"]

PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).resolve().parents[2]

#: What ran when the notes were written and PyTorch 2.13 has given up; rushlight still takes it.
GONE_FROM_PYTORCH = {".next()": ".__next__()"}

#: Under ``rushlight run -m pytest`` this whole process has rushlight for PyTorch.
UNDER_RUN = aliases.installed()


def is_installed(*modules: str) -> bool:
    """Whether PyTorch and what stands beside it are there, and whole, to compare with."""
    return not UNDER_RUN and all(map(_can_be_imported, modules))


@cache
def _can_be_imported(module: str) -> bool:
    try:
        importlib.import_module(module)
    except (ImportError, RuntimeError):  # a torchvision that was built for another PyTorch
        return False
    return True


def room(*modules: str) -> pytest.MarkDecorator:
    """Skips a test of programs that import what is not here."""
    missing = []
    for own in filter(None, map(own_name, modules)):
        path = ROOT.joinpath(*own.split("."))
        if not (path.with_suffix(".py").exists() or (path / "__init__.py").exists()):
            missing.append(own)
    if "torch.utils.tensorboard" in modules and importlib.util.find_spec("tensorboard") is None:
        missing.append("the tensorboard extra")
    return pytest.mark.skipif(bool(missing), reason=f"not here: {', '.join(missing)}")


@contextlib.contextmanager
def answering_torch() -> Iterator[None]:
    """``import torch`` gives rushlight inside the block, and what it gave before after it."""
    if UNDER_RUN:
        yield
        return
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if package_of(name)}
    aliases.install()
    try:
        yield
    finally:
        aliases.uninstall()
        sys.modules.update(hidden)


@contextlib.contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Work in a folder, and then where it was before."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@dataclass
class Run:
    """What a program left behind."""

    names: dict[str, Any]
    printed: str = ""
    warnings: list[str] = field(default_factory=list)

    folder: Path = Path()

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    @contextlib.contextmanager
    def as_program(self) -> Iterator[None]:
        """Go on where the program ended: in its folder, with its ``torch`` for what it imports."""
        with answering_torch(), in_folder(self.folder):
            yield


#: What must be installed besides PyTorch where a program imports a part of it.
BESIDE = {"torch.utils.tensorboard": "tensorboard", "torchvision": "torchvision"}


def imported_beside(note: str, blocks: tuple[str, ...]) -> list[str]:
    """What stands beside PyTorch and is imported by these blocks."""
    texts = [(PROGRAMS / f"note_{note}" / f"{block}.py").read_text("utf-8") for block in blocks]
    return [package for name, package in BESIDE.items() if any(name in text for text in texts)]


Given = Callable[[Any], dict[str, Any]]


def run_blocks(note: str, blocks: tuple[str, ...], given: Given | None, seed: int) -> Run:
    """Run blocks one after the other, as cells of one notebook."""
    torch = importlib.import_module("torch")
    torch.manual_seed(seed)
    np.random.seed(seed)
    main = types.ModuleType("__main__")
    main.__dict__.update(given(torch) if given is not None else {})
    outside, sys.modules["__main__"] = sys.modules["__main__"], main
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", ResourceWarning)  # files the authors leave open
            for block in blocks:
                path = PROGRAMS / f"note_{note}" / f"{block}.py"
                text = path.read_text("utf-8")
                if not aliases.installed():
                    for old, new in GONE_FROM_PYTORCH.items():
                        text = text.replace(old, new)
                exec(compile(text, str(path), "exec"), main.__dict__)
            for left in list(vars(main).values()):  # an author's process closes it as it ends
                if type(left).__name__ == "SummaryWriter":
                    left.close()
    finally:
        sys.modules["__main__"] = outside
    return Run(main.__dict__, printed.getvalue(), [str(w.message) for w in caught])


class Player:
    """Runs blocks on rushlight; where PyTorch is installed also there, and compares."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self,
        note: str,
        *blocks: str,
        given: Given | None = None,
        seed: int = 0,
        warns: bool = False,
        digits: float = 1e-4,
        values: float | None = 1e-5,
        beside: tuple[str, ...] = (),
    ) -> Run:
        """What the blocks of a note leave behind.

        Args:
            note: its number.
            blocks: names of files in its folder, in their order.
            given: what the author left out, made with the ``torch`` it gets.
            seed: of the random numbers.
            warns: the program warns; the messages are in the result.
            digits: how far printed numbers may differ from PyTorch's, in parts of them.
            values: how far elements of tensors may; ``None`` for a run so long that rounding has
                led to other numbers.
            beside: what must be installed besides PyTorch to compare with.
        """
        folder = self._folder / "rushlight"
        folder.mkdir(exist_ok=True)
        with answering_torch(), in_folder(folder):
            ours = run_blocks(note, blocks, given, seed)
            ours.folder = folder
        if not warns:
            assert ours.warnings == []
        if is_installed("torch", *beside, *imported_beside(note, blocks)):
            importlib.import_module("torch").set_num_threads(1)
            folder = self._folder / "torch"
            folder.mkdir(exist_ok=True)
            with in_folder(folder):
                theirs = run_blocks(note, blocks, given, seed)
            compare(ours, theirs, digits, values)
        return ours


NUMBER = re.compile(r"[-+]?\d+\.\d*(?:e[-+]?\d+)?")


def compare(ours: Run, theirs: Run, digits: float, values: float | None) -> None:
    """Both printed the same and left the same tensors and modules."""
    plain = [re.sub(r"0x[0-9a-f]+", "0x", run.printed) for run in (ours, theirs)]
    words = [NUMBER.sub("#", text) for text in plain]
    numbers = [[float(n) for n in NUMBER.findall(text)] for text in plain]
    assert words[0].split() == words[1].split(), plain
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=digits, atol=2e-4)
    made = [{n for n in run.names if not n.startswith("__")} for run in (ours, theirs)]
    assert made[0] == made[1]
    for name in made[1]:
        compare_value(name, ours.names[name], theirs.names[name], values)


def compare_value(name: str, ours: Any, theirs: Any, values: float | None) -> None:
    """A tensor is PyTorch's; a module looks like PyTorch's."""
    kind = type(theirs).__module__.partition(".")[0]
    if isinstance(theirs, (list, tuple)) and type(theirs) in (list, tuple):
        assert len(ours) == len(theirs), name
        for number, (one, two) in enumerate(zip(ours, theirs, strict=True)):
            compare_value(f"{name}[{number}]", one, two, values)
    elif kind == "torch" and hasattr(theirs, "grad_fn"):
        assert str(ours.dtype) == str(theirs.dtype), name
        assert tuple(ours.shape) == tuple(theirs.shape), name
        assert ours.requires_grad == theirs.requires_grad, name
        assert type(ours.grad_fn).__name__ == type(theirs.grad_fn).__name__, name
        if values is not None:
            pair = ours.detach().numpy(), theirs.detach().numpy()
            np.testing.assert_allclose(*pair, rtol=10 * values, atol=values, err_msg=name)
    elif kind == "torch" and hasattr(theirs, "state_dict"):
        assert repr(ours) == repr(theirs), name
    if hasattr(theirs, "named_parameters") and not isinstance(theirs, type):
        pairs = zip(ours.named_parameters(), theirs.named_parameters(), strict=True)
        for (first, one), (second, two) in pairs:
            assert first == second
            compare_value(f"{name}.{first}", one, two, values)
            assert (one.grad is None) == (two.grad is None), f"{name}.{first}.grad"
            if two.grad is not None:
                compare_value(f"{name}.{first}.grad", one.grad, two.grad, values)


@pytest.fixture
def play(tmp_path: Path) -> Player:
    """``play(note, *blocks)`` runs blocks of a note; see ``Player``."""
    return Player(tmp_path)
