"""PyTorch's names in a program that ``rushlight run`` executes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

import rushlight
from rushlight import _names
from rushlight.cli import aliases, children
from rushlight.cli.missing import module_error
from rushlight.version import TorchVersion


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    """The aliases in this process, with a ``torch`` that is really imported out of the way."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _names.package_of(name)}
    aliases.install()
    try:
        yield
    finally:
        aliases.uninstall()
        sys.modules.update(hidden)


def run(code: str) -> dict[str, object]:
    """The names that a piece of a program leaves, as if ``program.py`` held it."""
    names: dict[str, object] = {}
    exec(compile(code, "program.py", "exec"), names)
    return names


SAME = """
import importlib, importlib.metadata, importlib.util, pickle, sys
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.dataloader import default_collate
from torchvision import datasets, transforms
import torchvision
import rushlight

assert torch is rushlight and nn is torch.nn is rushlight.nn and F is nn.functional
assert optim.SGD is rushlight.optim.SGD and torch.utils.data.DataLoader is DataLoader
assert importlib.import_module("torch.utils.data") is torch.utils.data
assert torchvision is rushlight.vision and torchvision.transforms is transforms
assert sys.modules["torch.nn"] is nn and importlib.import_module("torch.nn.modules.linear")

assert (torch.__name__, nn.__name__, F.__name__) == ("torch", "torch.nn", "torch.nn.functional")
assert str(type(torch.ones(2))) == "<class 'torch.Tensor'>"
assert str(nn.Linear) == "<class 'torch.nn.modules.linear.Linear'>"
assert str(torch.optim.AdamW) == "<class 'torch.optim.adamw.AdamW'>"
assert str(torch.float32.__class__) == "<class 'torch.dtype'>"
assert repr(nn.Linear(1, 2)) == "Linear(in_features=1, out_features=2, bias=True)"
for kept in (nn.Linear, torch.Tensor, torch.Size, torch.optim.AdamW, torch.no_grad, nn.Parameter):
    assert pickle.loads(pickle.dumps(kept)) is kept
    assert pickle.dumps(kept).find(b"rushlight") == -1

assert torch.__version__ == "2.13.0" and torch.__version__ >= (1, 10)
assert [int(part) for part in torch.__version__.split(".")] == [2, 13, 0]
assert torch.version.cuda is None and torch.version.__version__ is torch.__version__ or 1
assert importlib.metadata.version("torch") == "2.13.0"
assert importlib.metadata.metadata("pytorch_lightning")["Name"] == "pytorch-lightning"
assert importlib.metadata.version("numpy")

assert importlib.util.find_spec("torch").origin == rushlight.__file__
assert importlib.util.find_spec("torch.nn.init") is not None
assert importlib.util.find_spec("torch.onnx") is None
assert not hasattr(torch, "onnx") and not hasattr(torch, "no_such_thing")

from torch.optim.adamw import AdamW
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.utils import _pair
torch._C._log_api_usage_once("library")
assert str(torch._C.TensorBase) == "<class 'torch.Tensor'>"
assert torch.utils.data._utils.collate.default_collate is default_collate
assert torch.functional.norm is torch.norm and torch.jit.is_scripting() is False
"""


@pytest.mark.usefixtures("installed")
def test_the_modules_are_rushlights_under_every_name() -> None:
    run(SAME)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (
            "\nimport torch.onnx",
            ModuleNotFoundError,
            "No module named 'torch.onnx': torch is rushlight here, and there is no "
            "rushlight.onnx (asked for in program.py, line 2)",
        ),
        (
            "import torch.optim.lr_schedulers",
            ModuleNotFoundError,
            "No module named 'torch.optim.lr_schedulers': torch is rushlight here, and there is "
            "no rushlight.optim.lr_schedulers (asked for in program.py, line 1); the nearest name "
            "is 'torch.optim.lr_scheduler'",
        ),
        (
            "import torch._C._nn",
            ModuleNotFoundError,
            "No module named 'torch._C._nn': this is in PyTorch's compiled core, and rushlight "
            "has none (asked for in program.py, line 1)",
        ),
        ("import torch._six", ModuleNotFoundError, "PyTorch itself has given it up"),
        ("import torch.engine", ModuleNotFoundError, "and PyTorch has none, either"),
        ("import torch.nn._torch", ModuleNotFoundError, "this is private to PyTorch"),
        (
            "import torch\n\ntorch.floour",
            AttributeError,
            "module 'torch' has no attribute 'floour' (asked for in program.py, line 3); the "
            "nearest name is 'floor'",
        ),
        (
            "import torch.nn as nn\nnn.linear",
            AttributeError,
            "module 'torch.nn' has no attribute 'linear' (asked for in program.py, line 2); the "
            "nearest name is 'Linear'",
        ),
        (
            "import torch; torch._C._jit_init()",
            AttributeError,
            "this is in PyTorch's compiled core",
        ),
        (
            "from torch.nn import Linaer",
            ImportError,
            f"cannot import name 'Linaer' from 'torch.nn' ({Path(rushlight.__path__[0])}/nn/"
            "__init__.py) (asked for in program.py, line 1); the nearest name is 'Linear'",
        ),
        ("from torch import onnx", ImportError, "cannot import name 'onnx' from 'torch'"),
    ],
)
def test_a_missing_name(code: str, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as raised:
        run(code)
    assert type(raised.value) is kind
    assert text in str(raised.value)
    if isinstance(raised.value, ImportError):
        assert raised.value.name in code or raised.value.name == "torch"


@pytest.mark.usefixtures("installed")
def test_libraries_may_ask() -> None:
    code = "try:\n    import torch.onnx\nexcept ImportError:\n    found = False"
    assert run(code)["found"] is False
    code = "import torch\ntry:\n    torch.onnx\nexcept AttributeError:\n    found = False"
    assert run(code)["found"] is False


def test_nothing_is_left_behind(installed) -> None:
    import_once = run("import torch.nn, torchvision, torch.optim")
    assert import_once["torch"] is rushlight
    aliases.uninstall()
    assert not [name for name in sys.modules if _names.package_of(name)]
    assert rushlight.__name__ == "rushlight"
    assert rushlight.__version__ != "2.13.0"
    assert rushlight.Tensor.__module__ == "rushlight._tensor"
    assert "__getattr__" not in vars(rushlight.random)
    assert rushlight.nn.__name__ == "rushlight.nn"


def test_another_torch_that_came_first_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", other)
    with pytest.raises(ImportError, match="torch has been imported already"):
        aliases.install()
    assert sys.modules["torch"] is other


def test_names_of_modules_go_both_ways() -> None:
    for own in ("rushlight", "rushlight.nn.functional", "rushlight.vision.datasets"):
        shown = _names.torch_name(own)
        assert shown is not None
        assert _names.own_name(shown) == own
    assert _names.torch_name("rushlight.lightning.callbacks") == "pytorch_lightning.callbacks"
    assert _names.own_name("lightning.pytorch.callbacks") == "rushlight.lightning.callbacks"
    assert _names.own_name("lightning") == "rushlight.lightning"
    assert _names.package_of("torchaudio") is None
    assert "private" in str(module_error("torch._utils_internal"))


@pytest.mark.parametrize("name", sorted({*_names.MOVED, *_names.KNOWN}))
def test_moved_modules_are_there(name: str) -> None:
    """And hold the classes that PyTorch's module shows, where PyTorch is installed to say so."""
    own = _names.own_name(name)
    assert own is not None
    ours = importlib.import_module(own)
    if name in _names.MOVED:
        same_place = "rushlight" + name.removeprefix("torch")
        assert aliases.find_own(same_place) is None, f"{name} needs no line in the table"
    if not name.startswith(("torch.nn", "torch.optim")):
        return
    pytest.importorskip("torch", reason="the oracle extra is not installed")
    theirs = vars(importlib.import_module(name))
    classes = [found for found in theirs["__all__"] if isinstance(theirs[found], type)]
    assert classes
    assert [found for found in classes if not hasattr(ours, found)] == []


@pytest.mark.parametrize(
    ("version", "wanted"),
    [("2.13", True), ("2.13.0+cpu", True), ("2.13.1", False), ((2, 13), True), ("x", False)],
)
def test_versions_compare(version: object, wanted: bool) -> None:
    ours = TorchVersion("2.13.0")
    assert (ours == version) is wanted
    assert (ours != version) is not wanted


def test_versions_are_ordered() -> None:
    ours = TorchVersion("2.13.0")
    for older in ("2.9", (2, 12, 9), "2.13.0a0", "1.10.0"):
        assert ours > older
        assert ours >= older
        assert not ours < older
    for newer in ((2, 14), "2.13.1rc1", "10.0"):
        assert ours < newer
        assert ours <= newer
    assert ours >= (2, 13, 0)
    assert hash(ours) == hash("2.13.0")


REAL = """
import sys
import library
assert library.torch.__file__.endswith("rushlight/__init__.py"), library.torch
assert not [name for name in sys.modules if "site-packages/torch/" in
            (getattr(sys.modules[name], "__file__", None) or "")]
print(library.use())
"""

LIBRARY = """
import torch
from torch import nn
class Block(nn.Module):
    def forward(self, x):
        return x + 1
def use():
    return isinstance(Block(), torch.nn.Module), Block()(torch.ones(1)).item()
"""


def test_a_library_gets_rushlight_too(rushlight_run, tmp_path: Path) -> None:
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "program.py").write_text(REAL)
    (tmp_path / "torch.py").write_text("raise RuntimeError('the other torch')")
    done = rushlight_run("program.py")
    assert (done.stdout, done.stderr) == ("(True, 2.0)\n", "")


def test_the_other_torch_stays_for_python(python) -> None:
    pytest.importorskip("torch", reason="the oracle extra is not installed")
    done = python("-c", "import importlib.util as u; print(u.find_spec('torch').origin)")
    assert "rushlight" not in done.stdout


CHILDREN = """
import multiprocessing, sys
import torch

class Sample:
    def __init__(self, x):
        self.x = x

def work(sample, answers):
    import torch.nn as nn
    kind = type(sample).__module__ in ("__main__", "__mp_main__")
    answers.put((torch.__file__, nn.__name__, sample.x.sum().item(), kind, sys.argv[1:]))
    if sample.x.numel() == 1:
        raise ValueError("told to")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    answers = context.SimpleQueue()
    for count in (2, 1):
        child = context.Process(target=work, args=(Sample(torch.ones(count)), answers))
        child.start()
        child.join()
        print(child.exitcode, *answers.get()[1:])
    if sys.argv[1] != "fork":
        with context.Pool(1) as pool:
            print(pool.map(Sample, [5])[0].x)
"""


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_children_have_the_names(rushlight_run, tmp_path: Path, how: str) -> None:
    (tmp_path / "program.py").write_text(CHILDREN)
    done = rushlight_run("program.py", how)
    lines = [f"0 torch.nn 2.0 True ['{how}']", f"1 torch.nn 1.0 True ['{how}']"]
    assert done.stdout.splitlines() == lines + ["5"] * (how != "fork")
    assert done.stderr.startswith("Process ")
    assert done.stderr.endswith("ValueError: told to\n")
    assert "rushlight/cli" not in done.stderr


def test_processes_of_its_own_are_pythons(rushlight_run) -> None:
    question = "import sys; print(sys.meta_path)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {question!r}])"
    assert "rushlight" not in rushlight_run("-c", code).stdout


def test_the_starter_of_children_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = children.util.spawnv_passfds
    children.install()
    assert children.util.spawnv_passfds is not before
    children.uninstall()
    assert children.util.spawnv_passfds is before


def test_a_notebook(tmp_path: Path, python) -> None:
    pytest.importorskip("IPython", reason="IPython is not installed")
    cells = (
        "%load_ext rushlight.jupyter\n"
        "import torch; print(torch.__file__, torch.nn.Linear)\n"
        "%unload_ext rushlight.jupyter\n"
        "import sys; print('torch' in sys.modules)\n"
    )
    (tmp_path / "cells.ipy").write_text(cells)
    done = python("-m", "IPython", "--no-banner", "--colors=NoColor", "cells.ipy")
    assert done.stdout == (
        f"{rushlight.__file__} <class 'torch.nn.modules.linear.Linear'>\nFalse\n"
    ), done.stderr
