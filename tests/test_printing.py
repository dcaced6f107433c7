"""Printing: recorded texts of PyTorch 2.13, and PyTorch itself where it is installed."""

from __future__ import annotations

import doctest
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from rushlight import _printing
from rushlight._printing import (
    array_contents,
    format_array,
    get_printoptions,
    parameter_repr,
    printoptions,
    set_printoptions,
    tensor_format,
    tensor_repr,
)
from rushlight.engine.core.device import device
from rushlight.engine.core.dtype import dtype_by_name, from_numpy_dtype

BITS = {
    ml_dtypes.bfloat16: np.uint16,
    ml_dtypes.float8_e4m3fn: np.uint8,
    ml_dtypes.float8_e5m2: np.uint8,
}
FLOATS = [np.float32, np.float64, np.float16, *BITS]
INTEGERS = [np.dtype(name) for name in ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]]


class StandIn:
    """The attributes printing reads, over a NumPy array."""

    layout = "torch.strided"

    def __init__(self, array: Any, *, place: str = "cpu", grad: str | bool = False) -> None:
        self.array = np.asarray(array)
        self.dtype = from_numpy_dtype(self.array.dtype)
        self.device = device(place)
        self.requires_grad = bool(grad)
        self.grad_fn = type(grad, (), {})() if isinstance(grad, str) else None

    def size(self) -> tuple[int, ...]:
        return self.array.shape

    def detach(self) -> Any:
        return self

    def item(self) -> Any:
        return self.array.item()

    def _numpy_for_printing(self) -> np.ndarray:
        return self.array

    def __repr__(self) -> str:
        return tensor_repr(self)

    def __format__(self, format_spec: str) -> str:
        return tensor_format(self, format_spec)


class Tensor(StandIn):
    __module__ = "torch"


class Parameter(Tensor):
    __module__ = "torch"

    def __repr__(self) -> str:
        return parameter_repr(self)


class Image(Tensor):
    """A user's subclass."""


class Weight(Parameter):
    """A user's subclass."""


def text_of(
    array: Any, *, default: str = "float32", grad: str | bool = False, **options: Any
) -> str:
    """How rushlight prints ``array`` under ``options``."""
    with printoptions(**options):
        return tensor_repr(Tensor(array, grad=grad), default_dtype=lambda: dtype_by_name(default))


def parameter_text(array: Any, **options: Any) -> str:
    """How rushlight prints a parameter that holds ``array``."""
    with printoptions(**options):
        return parameter_repr(Parameter(array, grad=True))


@pytest.fixture(scope="session")
def torch() -> Any:
    """PyTorch, the oracle."""
    return pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")


def oracle_tensor(torch: Any, array: np.ndarray) -> Any:
    """``array`` as a tensor of PyTorch."""
    array = np.asarray(array)
    bits = BITS.get(array.dtype.type)
    if bits is None:
        return torch.from_numpy(array)
    name = from_numpy_dtype(array.dtype).name
    return torch.from_numpy(array.view(bits)).view(getattr(torch, name))


@contextmanager
def oracle_options(torch: Any, default: str, options: dict[str, Any]) -> Iterator[None]:
    torch.set_default_dtype(getattr(torch, default))
    try:
        with torch._tensor_str.printoptions(**options):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def oracle_text(
    torch: Any, array: Any, *, default: str = "float32", grad: str | bool = False, **options: Any
) -> str:
    """How PyTorch prints ``array`` under ``options``."""
    tensor = oracle_tensor(torch, array).requires_grad_(bool(grad))
    if isinstance(grad, str):
        tensor = {"AddBackward0": lambda t: t + 0, "CloneBackward0": lambda t: t.clone()}[grad](
            tensor
        )
    with oracle_options(torch, default, options):
        return repr(tensor)


# Recorded texts ---------------------------------------------------------------------------------

NAMES: dict[str, Any] = {
    "np": np, "inf": math.inf, "nan": math.nan, "bfloat16": ml_dtypes.bfloat16,
    "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2,
    "f32": lambda *values: np.array(values, np.float32),
    "f64": lambda *values: np.array(values, np.float64),
    "count": lambda *shape: np.arange(math.prod(shape)).reshape(shape),
    "zeros": lambda *shape: np.zeros(shape, np.float32),
    "ramp": lambda *shape: np.arange(math.prod(shape), dtype=np.float32).reshape(shape) / 8,
}  # fmt: skip

#: What PyTorch 2.13.0 printed. ``show`` and ``parameter`` take an array and print options.
RECORDED = Path(__file__).with_name("printing_recorded.txt").read_text(encoding="utf-8")
EXAMPLES = doctest.DocTestParser().get_examples(RECORDED)


def run_example(example: doctest.Example, show: Callable[..., str], parameter: Any) -> None:
    text = eval(example.source, {**NAMES, "show": show, "parameter": parameter})
    assert text == example.want[:-1].replace("<BLANKLINE>", "")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.source.strip())
def test_recorded(example: doctest.Example) -> None:
    run_example(example, text_of, parameter_text)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.source.strip())
def test_the_records_are_what_pytorch_prints(example: doctest.Example, torch: Any) -> None:
    def parameter(array: Any, **options: Any) -> str:
        with oracle_options(torch, "float32", options):
            return repr(torch.nn.Parameter(oracle_tensor(torch, array)))

    run_example(example, lambda *a, **k: oracle_text(torch, *a, **k), parameter)


# The oracle -------------------------------------------------------------------------------------


@st.composite
def any_array(draw: Any) -> np.ndarray:
    """Arrays of every type: whole, ordinary, far-apart and special numbers."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=7))
    kind = draw(st.sampled_from(["float", "float", "complex", "int", "bool"]))
    if kind == "bool":
        return draw(hnp.arrays(np.bool_, shape))
    if kind == "int":
        chosen = draw(st.sampled_from(INTEGERS))
        small = st.integers(0 if chosen.kind == "u" else -12, 120)
        return draw(hnp.arrays(chosen, shape, elements=draw(st.sampled_from([None, small]))))
    special = st.sampled_from([0.0, -0.0, 1.0, -2.0, 1000.0, 1e8, 1e-4, math.nan, math.inf])
    whole = st.integers(-2000, 2000).map(float)
    usual = st.floats(-100, 100).map(lambda x: round(x, 3))
    elements = draw(st.sampled_from([special, whole, usual, whole | special, st.floats()]))
    if kind == "float":
        values = draw(hnp.arrays(np.float64, shape, elements=elements))
        wanted = draw(st.sampled_from(FLOATS))
    else:
        parts = draw(hnp.arrays(np.float64, (*shape, 2), elements=elements))
        values = parts.view(np.complex128).reshape(shape)
        wanted = draw(st.sampled_from([np.complex64, np.complex128]))
    with np.errstate(all="ignore"):
        return np.asarray(values.astype(wanted))


any_options = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 9),
        "threshold": st.sampled_from([0, 1, 5, 20, 100, 1000, math.inf]),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(1, 200),
        "profile": st.sampled_from(["default", "short", "full", "unknown"]),
        "sci_mode": st.sampled_from([None, True, False]),
    },
)
any_default = st.sampled_from(["float32", "float64", "float16", "bfloat16"])


@settings(max_examples=400, deadline=None)
@given(any_array(), any_options, any_default, st.sampled_from([False, True, "CloneBackward0"]))
def test_prints_as_pytorch(
    torch: Any, array: np.ndarray, options: dict[str, Any], default: str, grad: str | bool
) -> None:
    if not (from_numpy_dtype(array.dtype).is_floating_point or array.dtype.kind == "c"):
        grad = False
    theirs = oracle_text(torch, array, default=default, grad=grad, **options)
    assert text_of(array, default=default, grad=grad, **options) == theirs


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([(1001,), (1500,), (30, 40), (2, 700), (700, 2), (11, 10, 12), (2, 3, 4, 50)]),
    st.integers(0, 2**32 - 1),
    st.integers(-9, 9),
    st.sampled_from(["float32", "float64", "bfloat16", "int64", "complex64"]),
    any_options,
)
def test_prints_long_tensors_as_pytorch(
    torch: Any, shape: tuple[int, ...], seed: int, power: int, name: str, options: dict[str, Any]
) -> None:
    values = np.random.default_rng(seed).standard_normal(shape) * 10.0**power
    array = values.astype(dtype_by_name(name).numpy)
    assert text_of(array, **options) == oracle_text(torch, array, **options)


@settings(max_examples=100, deadline=None)
@given(any_array(), any_options)
def test_strides_do_not_show(array: np.ndarray, options: dict[str, Any]) -> None:
    padded = np.repeat(array[..., None], 2, axis=-1)[..., 0].T
    assert text_of(padded, **options) == text_of(padded.copy(order="C"), **options)


# Long arrays ------------------------------------------------------------------------------------


def test_only_edge_items_are_read() -> None:
    # A terabyte, were it ever laid out; strides of zero make it one number.
    huge = np.broadcast_to(np.float32(0.5), (1 << 19, 1 << 19))
    text = tensor_repr(Tensor(huge))
    assert text.count("0.5000") == 36
    assert text.startswith("tensor([[0.5000, 0.5000, 0.5000,  ..., 0.5000, 0.5000, 0.5000],\n")


def test_hidden_items_do_not_choose_the_format() -> None:
    values = np.ones(2000, np.float32)
    values[1000] = 1e30
    assert text_of(values) == "tensor([1., 1., 1.,  ..., 1., 1., 1.])"


def test_contents_given_by_the_caller_replace_the_elements() -> None:
    class Unreadable(Tensor):
        __module__ = "torch"

        def detach(self) -> Any:
            raise AssertionError("the elements were read")

    Unreadable.__name__ = "Tensor"
    tensor = Unreadable(np.zeros((2, 2)), grad=True)
    text = tensor_repr(tensor, tensor_contents="abc")
    assert text == "tensor(abc, dtype=torch.float64, requires_grad=True)"


# Around the elements ----------------------------------------------------------------------------


def test_another_device_is_named() -> None:
    assert repr(Tensor(np.float32(1), place="cuda:0")) == "tensor(1., device='cuda:0')"
    text = repr(Tensor(np.arange(3, dtype=np.int32), place="cuda:1"))
    assert text == "tensor([0, 1, 2], device='cuda:1', dtype=torch.int32)"


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
@pytest.mark.parametrize("name", ["float32", "int64", "float64"])
def test_meta_tensors_show_their_shape(torch: Any, shape: tuple[int, ...], name: str) -> None:
    theirs = repr(torch.empty(shape, dtype=getattr(torch, name), device="meta"))
    assert repr(Tensor(np.zeros(shape, name), place="meta")) == theirs


def test_meta_tensor_recorded() -> None:
    text = repr(Tensor(np.zeros((2, 3), np.int64), place="meta"))
    assert text == "tensor(..., device='meta', size=(2, 3), dtype=torch.int64)"


def test_other_layouts_are_named() -> None:
    tensor = Tensor(np.ones(2, np.float32))
    tensor.layout = "torch._mkldnn"
    assert repr(tensor) == "tensor([1., 1.], layout=torch._mkldnn)"


def test_a_spoilt_view_still_prints() -> None:
    class Spoilt(Tensor):
        __module__ = "torch"
        grad_fn = property(lambda self: self.fail(), lambda self, value: None)

        def fail(self) -> None:
            raise RuntimeError("modified in place")

    Spoilt.__name__ = "Tensor"
    assert repr(Spoilt(np.float32(1))) == "tensor(1., grad_fn=<Invalid>)"


def test_subclasses_print_under_their_name() -> None:
    square = np.ones((2, 2), np.float32)
    assert repr(Image(square)) == "Image([[1., 1.],\n       [1., 1.]])"
    assert repr(Parameter(square, grad=True)) == (
        "Parameter containing:\ntensor([[1., 1.],\n        [1., 1.]], requires_grad=True)"
    )
    assert repr(Weight(square, grad=True)) == (
        "Parameter containing:\n"
        "Parameter(Weight([[1., 1.],\n        [1., 1.]], requires_grad=True))"
    )


def test_subclasses_print_as_pytorch(torch: Any) -> None:
    tensor = torch.ones(2, 2)
    image = type("Image", (torch.Tensor,), {})
    weight = type("Weight", (torch.nn.Parameter,), {})
    assert repr(Image(tensor.numpy())) == repr(tensor.as_subclass(image))
    assert repr(Weight(tensor.numpy(), grad=True)) == repr(weight(tensor))


def test_format_array_and_its_contents() -> None:
    array = np.array([[1.0, 2.5], [3.0, 4.0]])
    assert array_contents(array, kind="float", indent=3) == (
        "[[1.0000, 2.5000],\n    [3.0000, 4.0000]]"
    )
    assert format_array(array[0], kind="float", suffixes=["a=1", "b=2"], indent=2, prefix="T(") == (
        "T([1.0000, 2.5000], a=1, b=2)"
    )
    with printoptions(linewidth=24):
        text = format_array(array[0], kind="float", suffixes=["a=1", "b=2"], indent=2, prefix="T(")
    assert text == "T([1.0000, 2.5000],\n  a=1, b=2)"


# f"{tensor:...}" ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array, spec, expected",
    [
        (np.float32(1.5), ".2f", "1.50"),
        (np.float32(1.5), "", "1.5"),
        (np.float32(0.1), "", "0.10000000149011612"),
        (np.float32(1.5), ">8", "     1.5"),
        (np.array(3), "05d", "00003"),
        (np.array(3), ".2f", "3.00"),
        (np.array(True), "", "True"),
        (np.array(1 + 2j), ".1f", "1.0+2.0j"),
        (np.array([1]), "", "tensor([1])"),
    ],
)
def test_format(array: Any, spec: str, expected: str) -> None:
    assert format(Tensor(array), spec) == expected


def test_format_agrees_with_pytorch(torch: Any) -> None:
    for array in (np.array(1.5), np.array(-7), np.array(True), np.array(2 - 1j)):
        for spec in ("", ".3f", ".1e", ">12", "+g"):
            assert format(Tensor(array), spec) == format(oracle_tensor(torch, array), spec)


@pytest.mark.parametrize(
    "tensor", [Tensor(np.ones(2)), Parameter(1.0), Image(1.0), Tensor(1.0, place="meta")]
)
def test_what_is_not_a_number_takes_no_format(tensor: Any) -> None:
    assert f"{tensor}" == str(tensor) == repr(tensor)
    message = rf"unsupported format string passed to {type(tensor).__name__}\.__format__"
    with pytest.raises(TypeError, match=message):
        f"{tensor:.2f}"


# The options ------------------------------------------------------------------------------------


@pytest.fixture
def _options_restored() -> Iterator[None]:
    with printoptions():
        yield


@pytest.mark.usefixtures("_options_restored")
def test_options_are_kept_until_given_again() -> None:
    set_printoptions(profile="short", precision=3, sci_mode=True)
    assert get_printoptions() == {
        "precision": 3, "threshold": 1000, "edgeitems": 2, "linewidth": 80, "sci_mode": True,
    }  # fmt: skip
    set_printoptions(threshold=7)
    assert get_printoptions() == {
        "precision": 3, "threshold": 7, "edgeitems": 2, "linewidth": 80, "sci_mode": None,
    }  # fmt: skip
    set_printoptions(profile="full")
    assert get_printoptions()["threshold"] == math.inf
    set_printoptions(**(before := get_printoptions()))
    assert get_printoptions() == before


@settings(max_examples=50, deadline=None)
@given(st.lists(any_options, max_size=4))
def test_options_follow_pytorch(torch: Any, steps: list[dict[str, Any]]) -> None:
    with printoptions(profile="default"), torch._tensor_str.printoptions(profile="default"):
        for options in steps:
            set_printoptions(**options)
            torch.set_printoptions(**options)
            assert get_printoptions() == torch._tensor_str.get_printoptions()


def test_printoptions_restores_after_an_error() -> None:
    before = get_printoptions()

    def fail_inside() -> None:
        with printoptions(precision=1, sci_mode=True):
            assert _printing.PRINT_OPTS.precision == 1
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail_inside()
    assert get_printoptions() == before
