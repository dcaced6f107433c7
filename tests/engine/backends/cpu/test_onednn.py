"""Finding and loading oneDNN, and what is said where it cannot be loaded."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.core.config import config

needs_library = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")


@pytest.fixture
def unloaded(monkeypatch):
    """A process in which oneDNN was not yet asked for."""
    monkeypatch.setattr(onednn, "_library", None)
    monkeypatch.setattr(onednn, "_reason", None)
    return monkeypatch


@needs_library
def test_the_library_is_version_three() -> None:
    library = onednn.library()
    assert library.version[0] == 3
    assert Path(library.path).exists()
    assert onednn.reason() is None


@needs_library
def test_constants_are_what_the_library_calls_them() -> None:
    native = ctypes.CDLL(onednn.library().path)

    def named(function: str, number: int) -> str:
        call = getattr(native, f"dnnl_{function}2str")
        call.restype = ctypes.c_char_p
        return call(number).decode()

    types = {"f16": onednn.FLOAT16, "bf16": onednn.BFLOAT16, "f32": onednn.FLOAT32,
             "s32": onednn.INT32, "u8": onednn.UINT8}  # fmt: skip
    assert all(named("dt", number) == name for name, number in types.items())
    kinds = {"forward_training": onednn.FORWARD_TRAINING, "backward": onednn.BACKWARD,
             "forward_inference": onednn.FORWARD_INFERENCE}  # fmt: skip
    assert all(named("prop_kind", number) == name for name, number in kinds.items())
    algorithms = {
        "convolution_direct": onednn.CONVOLUTION_DIRECT,
        "deconvolution_direct": onednn.DECONVOLUTION_DIRECT,
        "pooling_max": onednn.POOLING_MAX,
        "pooling_avg_include_padding": onednn.POOLING_AVERAGE_INCLUDE,
        "pooling_avg_exclude_padding": onednn.POOLING_AVERAGE_EXCLUDE,
        "softmax_accurate": onednn.SOFTMAX,
        "softmax_log": onednn.LOG_SOFTMAX,
    }
    assert all(named("alg_kind", number) == name for name, number in algorithms.items())
    assert named("fmt_tag", onednn.FORMAT_ANY) == "any"
    assert named("engine_kind", onednn.ENGINE_CPU) == "cpu"
    assert [named("status", i).replace("_", " ") for i in (1, 2, 3)] == list(onednn.STATUS[1:4])


def test_nothing_is_loaded_when_it_is_switched_off() -> None:
    program = (
        "from rushlight.engine.backends.cpu import onednn_matmul, onednn\n"
        "assert not onednn.available()\n"
        "assert onednn._library is None\n"
        "assert not any('libdnnl' in line or 'libgomp' in line for line in open('/proc/self/maps'))"
    )
    if not Path("/proc/self/maps").exists():
        pytest.skip("no list of loaded libraries on this system")
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        cwd=Path(__file__).parents[4],
        env={**os.environ, "RUSHLIGHT_USE_ONEDNN": "0"},
    )


def test_a_broken_file_is_named(unloaded, tmp_path) -> None:
    broken = tmp_path / "libdnnl.so.3"
    broken.write_bytes(b"no library")
    unloaded.setattr(config, "onednn_library", str(broken))
    assert not onednn.available()
    assert str(broken) in (onednn.reason() or "")
    with pytest.raises(RuntimeError, match=r"oneDNN is not available: .*libdnnl"):
        onednn.library()


def test_where_none_is_installed_the_reason_says_how(unloaded) -> None:
    unloaded.setattr(config, "onednn_library", None)
    unloaded.setattr(onednn, "candidates", lambda: iter(()))
    assert not onednn.available()
    assert "pip install onednn-cpu-gomp" in (onednn.reason() or "")


def test_it_can_be_switched_off(unloaded) -> None:
    unloaded.setattr(config, "onednn", False)
    assert not onednn.available()
    assert "RUSHLIGHT_USE_ONEDNN" in (onednn.reason() or "")


def test_a_named_library_is_the_only_candidate(monkeypatch) -> None:
    monkeypatch.setattr(config, "onednn_library", "/opt/libdnnl.so.3")
    assert list(onednn.candidates()) == ["/opt/libdnnl.so.3"]


def test_the_package_comes_first(monkeypatch) -> None:
    monkeypatch.setattr(config, "onednn_library", None)
    try:
        importlib.metadata.distribution("onednn-cpu-gomp")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("onednn-cpu-gomp is not installed")
    assert next(iter(onednn.candidates())).endswith("libdnnl.so.3")


def test_an_error_says_what_its_number_means() -> None:
    assert "unimplemented" in str(onednn.OneDNNError("dnnl_x", 3))
    assert "unknown" in str(onednn.OneDNNError("dnnl_x", 99))
