"""Switches, types and small names that programs set or import, as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight

REASON = "PyTorch is not installed; the extra `oracle` has it"


def test_float32_matmul_precision() -> None:
    assert rushlight.get_float32_matmul_precision() == "highest"
    rushlight.set_float32_matmul_precision("high")
    assert rushlight.backends.cuda.matmul.allow_tf32
    rushlight.backends.cuda.matmul.allow_tf32 = False
    assert rushlight.get_float32_matmul_precision() == "highest"
    with pytest.warns(UserWarning, match="is not one of 'highest', 'high', or 'medium'"):
        rushlight.set_float32_matmul_precision("low")
    with pytest.raises(RuntimeError, match="expects a str, but got int"):
        rushlight.set_float32_matmul_precision(1)  # type: ignore[arg-type]
    assert rushlight.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(
    "name",
    [
        "cudnn.benchmark", "cudnn.deterministic", "cudnn.enabled", "cudnn.allow_tf32",
        "mkldnn.enabled", "cuda.matmul.allow_tf32",
        "cuda.matmul.allow_fp16_reduced_precision_reduction",
        "cuda.matmul.allow_bf16_reduced_precision_reduction",
    ],
)  # fmt: skip
def test_switches_begin_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason=REASON)
    found: list[Any] = []
    for package in (rushlight, torch):
        value = package.backends
        for part in name.split("."):
            value = getattr(value, part)
        found.append(value)
    assert found[0] == found[1]


def test_switches_in_a_block() -> None:
    backends = rushlight.backends
    with backends.cudnn.flags(enabled=False, benchmark=True), backends.mkldnn.flags(enabled=False):
        assert (backends.cudnn.enabled, backends.cudnn.benchmark) == (False, True)
        assert not backends.mkldnn.enabled
    assert (backends.cudnn.enabled, backends.cudnn.benchmark) == (True, False)
    assert backends.mkldnn.enabled
    with backends.cuda.sdp_kernel(enable_math=False):
        assert not backends.cuda.math_sdp_enabled()
    assert backends.cuda.math_sdp_enabled()
    assert backends.cudnn.version() is None


def test_types_and_downloads() -> None:
    from rushlight.types import Device, Number, _size
    from rushlight.utils.model_zoo import load_url

    assert isinstance(rushlight.device("cpu"), Device)
    assert isinstance(1.5, Number)
    assert isinstance(rushlight.zeros(2).shape, rushlight.Size)
    assert _size is not None
    assert load_url is rushlight.hub.load_state_dict_from_url


@pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")  # PyTorch's
@pytest.mark.parametrize("name", ["argmax", "cumsum", "exp", "isnan", "transpose", "clip", "round"])
def test_numpy_gives_tensors_back(name: str) -> None:
    torch = pytest.importorskip("torch", reason=REASON)
    arguments = (1, 3) if name == "clip" else (0,) if name == "cumsum" else ()
    found = []
    for package in (rushlight, torch):
        result = getattr(np, name)(package.arange(6.0).reshape(2, 3), *arguments)
        assert type(result) is package.Tensor
        found.append((str(result.dtype), result.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["mean", "sum", "std", "var", "prod", "max"])
def test_numpy_reductions_are_refused_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason=REASON)
    for package in (rushlight, torch):
        with pytest.raises(TypeError):
            getattr(np, name)(package.ones(2, 3))
        assert getattr(np, name)(package.ones(2, 3).numpy()) is not None


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1", "mps"])
def test_default_backends(device: str) -> None:
    theirs = pytest.importorskip("torch.distributed", reason=REASON)
    mine = rushlight.distributed.get_default_backend_for_device(device)
    assert mine == theirs.get_default_backend_for_device(device)
