"""oneDNN through its C interface: finding the library, loading it at first use, its constants.

Source of every constant and signature: https://uxlfoundation.github.io/oneDNN (C API, version 3).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.metadata
import sys
from collections.abc import Iterator
from ctypes import POINTER, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint, c_void_p
from pathlib import Path
from typing import Any

from rushlight.engine.backends.cpu import threads
from rushlight.engine.core.config import config

#: Distributions on PyPI that hold a build of oneDNN for GNU OpenMP.
DISTRIBUTIONS = ("onednn-cpu-gomp", "onednn")
FILE_NAME = "libdnnl.so.3"

MAX_DIMENSIONS = 12
Dimensions = c_int64 * MAX_DIMENSIONS

# Element types.
FLOAT16, BFLOAT16, FLOAT32 = 1, 2, 3

# What a primitive computes.
FORWARD_TRAINING, FORWARD_INFERENCE = 64, 96
BACKWARD, BACKWARD_DATA = 128, 160

# Algorithms.
CONVOLUTION_DIRECT, CONVOLUTION_AUTO, DECONVOLUTION_DIRECT = 0x1, 0x3, 0xA
POOLING_MAX, POOLING_AVERAGE_INCLUDE, POOLING_AVERAGE_EXCLUDE = 0x1FF, 0x2FF, 0x3FF
SOFTMAX, LOG_SOFTMAX = 0x30000, 0x30001

# Arguments of a primitive.
SRC, DST, WEIGHTS, BIAS = 1, 17, 33, 41
MEAN, VARIANCE, SCALE, SHIFT = 49, 50, 51, 52
WORKSPACE, SCRATCHPAD = 64, 80
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_BIAS = 129, 145, 161, 169
DIFF_SCALE, DIFF_SHIFT = 255, 256

# Questions to a primitive's description.
QUERY_IMPLEMENTATION, QUERY_WORKSPACE, QUERY_SCRATCHPAD, QUERY_ARGUMENT = 8, 134, 135, 255

# Flags of the normalisations.
USE_GLOBAL_STATISTICS, USE_SCALE, USE_SHIFT = 1, 2, 4

FORMAT_ANY = 1
SCRATCHPAD_FROM_USER = 1
ENGINE_CPU = 1
STREAM_IN_ORDER = 1


class OneDNNError(RuntimeError):
    """oneDNN refused a call: ``status`` is its own code."""

    def __init__(self, function: str, status: int) -> None:
        super().__init__(f"oneDNN: {function} failed with status {status} ({STATUS[status]})")
        self.status = status


STATUS = (
    "success", "out of memory", "invalid arguments", "unimplemented", "last implementation reached",
    "runtime error", "not required", "invalid graph", "invalid graph operation", "invalid shape",
    "invalid data type",
)  # fmt: skip

#: Status of a primitive that oneDNN does not have for these shapes, types or this processor.
UNIMPLEMENTED = 3


class Argument(ctypes.Structure):
    """One argument of an execution: which one, and the memory object."""

    _fields_ = [("kind", c_int), ("memory", c_void_p)]


class Version(ctypes.Structure):
    """What ``dnnl_version`` points to."""

    _fields_ = [
        ("major", c_int),
        ("minor", c_int),
        ("patch", c_int),
        ("hash", c_char_p),
        ("cpu_runtime", c_uint),
        ("gpu_runtime", c_uint),
    ]


_OUT = POINTER(c_void_p)
_DIMS = POINTER(c_int64)
_WINDOW = [_DIMS] * 4  # strides, dilations, padding before, padding after

# Arguments of the functions we call, without the "dnnl_" in front; each returns a status.
_SIGNATURES: dict[str, list[Any]] = {
    "engine_create": [_OUT, c_int, c_size_t],
    "stream_create": [_OUT, c_void_p, c_uint],
    "memory_desc_create_with_strides": [_OUT, c_int, _DIMS, c_int, _DIMS],
    "memory_desc_create_with_tag": [_OUT, c_int, _DIMS, c_int, c_int],
    "memory_desc_clone": [_OUT, c_void_p],
    "memory_desc_destroy": [c_void_p],
    "memory_create": [_OUT, c_void_p, c_void_p, c_void_p],
    "memory_set_data_handle": [c_void_p, c_void_p],
    "memory_destroy": [c_void_p],
    "primitive_attr_create": [_OUT],
    "primitive_attr_set_scratchpad_mode": [c_void_p, c_int],
    "primitive_attr_destroy": [c_void_p],
    "primitive_desc_query": [c_void_p, c_int, c_int, c_void_p],
    "primitive_desc_destroy": [c_void_p],
    "primitive_create": [_OUT, c_void_p],
    "primitive_execute": [c_void_p, c_void_p, c_int, POINTER(Argument)],
    "primitive_destroy": [c_void_p],
    "reorder_primitive_desc_create": [_OUT, *[c_void_p] * 5],
    "convolution_forward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, c_int, *[c_void_p] * 4, *_WINDOW, c_void_p]
    ),
    "convolution_backward_data_primitive_desc_create": (
        [_OUT, c_void_p, c_int, *[c_void_p] * 3, *_WINDOW, c_void_p, c_void_p]
    ),
    "convolution_backward_weights_primitive_desc_create": (
        [_OUT, c_void_p, c_int, *[c_void_p] * 4, *_WINDOW, c_void_p, c_void_p]
    ),
    "matmul_primitive_desc_create": [_OUT, c_void_p, *[c_void_p] * 5],
    "pooling_forward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, c_int, c_void_p, c_void_p, *[_DIMS] * 5, c_void_p]
    ),
    "pooling_backward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, c_void_p, c_void_p, *[_DIMS] * 5, c_void_p, c_void_p]
    ),
    "batch_normalization_forward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, c_void_p, c_void_p, c_float, c_uint, c_void_p]
    ),
    "batch_normalization_backward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, *[c_void_p] * 3, c_float, c_uint, c_void_p, c_void_p]
    ),
    "layer_normalization_forward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, *[c_void_p] * 3, c_float, c_uint, c_void_p]
    ),
    "layer_normalization_backward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, *[c_void_p] * 4, c_float, c_uint, c_void_p, c_void_p]
    ),
    "softmax_forward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, c_int, c_void_p, c_void_p, c_int, c_void_p]
    ),
    "softmax_backward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, *[c_void_p] * 3, c_int, c_void_p, c_void_p]
    ),
}

# Too short to be worth letting other Python threads in and out.
_KEEP_GIL = {"memory_set_data_handle"}


class Library:
    """oneDNN, loaded: its functions with their types, one engine and one in-order stream."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._releasing = ctypes.CDLL(path)
        self._keeping = ctypes.PyDLL(path)
        version = self._releasing.dnnl_version
        version.restype = POINTER(Version)
        found = version().contents
        self.version = (found.major, found.minor, found.patch)
        if found.major != 3:
            raise OSError(f"{path} is oneDNN {found.major}.{found.minor}, version 3 is needed")
        for name, arguments in _SIGNATURES.items():
            source = self._keeping if name in _KEEP_GIL else self._releasing
            function = getattr(source, f"dnnl_{name}")
            function.argtypes = arguments
            function.restype = c_int
        query = self._releasing.dnnl_primitive_desc_query_md
        query.argtypes, query.restype = [c_void_p, c_int, c_int], c_void_p
        size = self._releasing.dnnl_memory_desc_get_size
        size.argtypes, size.restype = [c_void_p], c_size_t
        equal = self._releasing.dnnl_memory_desc_equal
        equal.argtypes, equal.restype = [c_void_p, c_void_p], c_int
        self.engine = self.create("engine_create", ENGINE_CPU, 0)
        self.stream = self.create("stream_create", self.engine, STREAM_IN_ORDER)

    def function(self, name: str) -> Any:
        """The C function ``dnnl_<name>`` with its types declared."""
        return getattr(self._keeping if name in _KEEP_GIL else self._releasing, f"dnnl_{name}")

    def create(self, name: str, *arguments: Any) -> int:
        """Call a function that makes an object; the object's address.

        Raises:
            OneDNNError: oneDNN refused, for example since it has no such kernel here.
        """
        made = c_void_p()
        status = self.function(name)(ctypes.byref(made), *arguments)
        if status:
            raise OneDNNError(f"dnnl_{name}", status)
        return made.value or 0


_library: Library | None = None
_reason: str | None = None


def candidates() -> Iterator[str]:
    """Paths that may hold oneDNN, in the order in which they are tried."""
    if config.onednn_library is not None:
        yield config.onednn_library
        return
    for name in DISTRIBUTIONS:
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        yield from (str(Path(file.locate()).resolve()) for file in files if file.name == FILE_NAME)
    beside = Path(sys.prefix, "lib", FILE_NAME)
    if beside.exists():
        yield str(beside)
    system = ctypes.util.find_library("dnnl")
    if system is not None:
        yield system


def _load() -> None:
    """Load the first library that works, or write down why none does."""
    global _library, _reason
    if not config.onednn:
        _reason = "switched off by RUSHLIGHT_USE_ONEDNN=0"
        return
    threads.load()
    failures: list[str] = []
    for path in candidates():
        try:
            _library = Library(path)
            return
        except (OSError, AttributeError, OneDNNError) as error:
            failures.append(f"{path}: {error}")
    if not failures:
        _reason = "no libdnnl.so.3 found; install it with: pip install onednn-cpu-gomp"
    else:
        _reason = "; ".join(failures)
        if "libgomp" in _reason:
            _reason += "; install GNU OpenMP, for example with: apt-get install libgomp1"


def available() -> bool:
    """Whether oneDNN can be used; loads it at the first call.

    >>> from rushlight.engine.backends.cpu import onednn
    >>> onednn.available() or onednn.reason() is not None
    True
    """
    if _library is None and _reason is None:
        _load()
    return _library is not None


def reason() -> str | None:
    """Why oneDNN cannot be used, or ``None`` where it can."""
    available()
    return _reason


def library() -> Library:
    """The loaded library.

    Raises:
        RuntimeError: there is none; the message says why.
    """
    if _library is None and not available():
        raise RuntimeError(f"oneDNN is not available: {_reason}")
    assert _library is not None
    return _library
