"""What ``rushlight info`` prints: everything a report of a problem should say."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterator

import rushlight
from rushlight._names import TORCH_VERSION
from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.llvm import jit, store
from rushlight.engine.core import config

_PACKAGES = (
    "numpy", "llvmlite", "onednn-cpu-gomp", "scipy", "ml_dtypes", "pillow", "safetensors",
    "tensorboard", "mpi4py", "torch",
)  # fmt: skip


def report() -> str:
    """Versions, processor, threads, oneDNN, the cache of machine code, and the switches.

    >>> from rushlight.cli.info import report
    >>> report().splitlines()[0].startswith("rushlight")
    True
    """
    rows = list(_rows())
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {text}" for name, text in rows)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _rows() -> Iterator[tuple[str, str]]:
    yield "rushlight", f"{rushlight.__version__} (follows PyTorch {TORCH_VERSION})"
    yield "python", f"{platform.python_version()} ({sys.executable})"
    yield "system", platform.platform()
    for package in _PACKAGES:
        yield package, _version(package)
    target = jit.target()
    yield "processor", target.name
    features = [name[1:] for name in target.features.split(",") if name.startswith("+")]
    yield "features", " ".join(features)
    yield "threads", f"{threads.limit()} of {threads.cores()} cores"
    if onednn.available():
        library = onednn.library()
        yield "oneDNN", f"{'.'.join(map(str, library.version))} ({library.path})"
    else:
        yield "oneDNN", f"none: {onednn.reason()}"
    yield "GPU", "none"
    used = store.usage()
    place = used.folder or "switched off"
    yield "cache", f"{place}, {used.entries} entries, {used.bytes / 1e6:.1f} MB"
    for name, value in config.describe():
        yield f"config.{name}", repr(value)
