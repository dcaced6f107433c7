"""Convolutions and their gradients against PyTorch's, and the choice of layouts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import ml_dtypes
import numpy as np
import pytest

from rushlight.engine.backends.cpu import onednn, onednn_convolution
from rushlight.engine.backends.cpu.onednn_convolution import (
    BACKWARD_DATA,
    BACKWARD_WEIGHTS,
    BLOCKED,
    CHANNELS_LAST,
    FORWARD,
    PLAIN,
    Geometry,
    choose_layout,
    prepare_convolution,
    prepare_convolution_backward_data,
    prepare_convolution_backward_weights,
)

torch = pytest.importorskip("torch", reason="the oracle extra is not installed")
pytestmark = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")

FLOAT = np.dtype(np.float32)


@dataclass(frozen=True)
class Case:
    """A convolution with the same numbers in every dimension."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    transposed: bool = False
    output_padding: int = 0

    @property
    def channels(self) -> int:
        return self.w[1] * self.groups if self.transposed else self.w[0]

    def sizes(self) -> tuple:
        """The arguments from stride to groups, spread over the dimensions."""
        n = len(self.x) - 2
        return (self.stride,) * n, (self.padding,) * n, (self.dilation,) * n, self.groups

    def more(self) -> tuple:
        """The arguments after the type."""
        n = len(self.x) - 2
        return self.transposed, (self.output_padding,) * n if self.transposed else ()


CASES = [
    Case((4, 3, 32, 32), (6, 3, 5, 5)),
    Case((4, 6, 14, 14), (16, 6, 5, 5)),
    Case((2, 3, 17, 17), (64, 3, 7, 7), stride=2, padding=3),
    Case((2, 64, 16, 16), (64, 64, 3, 3), padding=1),
    Case((2, 32, 16, 16), (48, 32, 3, 3), stride=2, padding=1),
    Case((2, 24, 9, 9), (40, 24, 3, 3), padding=2, dilation=2),
    Case((2, 16, 12, 12), (32, 16, 1, 1)),
    Case((2, 16, 12, 12), (32, 16, 1, 1), stride=2),
    Case((2, 8, 9, 9), (2, 8, 3, 3), padding=1),
    Case((3, 16, 11, 11), (16, 1, 3, 3), padding=1, groups=16),
    Case((3, 16, 11, 11), (32, 4, 3, 3), padding=1, groups=4),
    Case((1, 1, 5, 5), (1, 1, 5, 5)),
    Case((2, 5, 30), (7, 5, 4), stride=3, padding=2),
    Case((2, 4, 6, 7, 8), (6, 4, 3, 3, 3), padding=1),
    Case((2, 16, 7, 7), (16, 8, 4, 4), stride=2, padding=1, transposed=True),
    Case((2, 6, 5, 5), (6, 10, 3, 3), stride=2, padding=1, transposed=True, output_padding=1),
    Case((2, 8, 5, 5), (8, 3, 3, 3), dilation=2, groups=2, transposed=True),
    Case((2, 4, 9), (4, 6, 3), transposed=True),
]


def arrays(case: Case) -> list[np.ndarray]:
    """Input, weights and bias."""
    source = np.random.default_rng(7)
    shapes = case.x, case.w, (case.channels,)
    return [source.standard_normal(shape, dtype=np.float32) for shape in shapes]


def assert_close(result: np.ndarray, expected, tolerance: float = 1e-5) -> None:
    """Equal up to rounding, relative to the largest element."""
    wanted = expected.float().numpy()
    assert result.shape == wanted.shape
    error = np.abs(result.astype(np.float32) - wanted).max()
    assert error <= tolerance * np.abs(wanted).max()


def reference(case: Case, x, w, b):
    """PyTorch's convolution."""
    stride, padding, dilation, groups = case.sizes()
    extra = [case.output_padding] * len(stride)
    return torch.convolution(x, w, b, stride, padding, dilation, case.transposed, extra, groups)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward(case: Case, bias: bool) -> None:
    x, w, b = arrays(case)
    call = prepare_convolution(case.x, case.w, bias, *case.sizes(), FLOAT, *case.more())
    given = [torch.from_numpy(array) for array in (x, w, b)]
    expected = reference(case, *given[:2], given[2] if bias else None)
    assert_close(call(x, w, b) if bias else call(x, w), expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients(case: Case) -> None:
    given = arrays(case)
    leaves = [torch.from_numpy(array).requires_grad_() for array in given]
    y = reference(case, *leaves)
    grad = np.random.default_rng(8).standard_normal(y.shape, dtype=np.float32)
    expected = torch.autograd.grad(y, leaves, torch.from_numpy(grad))
    last = (*case.sizes(), FLOAT, *case.more())
    assert_close(
        prepare_convolution_backward_data(case.x, case.w, *last)(grad, given[1]), expected[0]
    )
    grad_w, grad_b = prepare_convolution_backward_weights(case.x, case.w, True, *last)(
        given[0], grad
    )
    assert_close(grad_w, expected[1])
    assert grad_b is not None
    assert_close(grad_b, expected[2])
    alone, nothing = prepare_convolution_backward_weights(case.x, case.w, False, *last)(
        given[0], grad
    )
    assert nothing is None
    assert_close(alone, expected[1])


@pytest.mark.parametrize("layout", [PLAIN, BLOCKED, CHANNELS_LAST])
@pytest.mark.parametrize("case", [CASES[1], CASES[3], CASES[6], CASES[12]], ids=str)
def test_every_layout_gives_the_same(case: Case, layout: str, monkeypatch) -> None:
    monkeypatch.setattr(onednn_convolution, "choose_layout", lambda *_: layout)
    test_forward(case, True)
    test_gradients(case)


def test_the_layout_depends_on_the_shape() -> None:
    def chosen(x: tuple[int, ...], w: tuple[int, ...], direction: str, pad: int = 1) -> str:
        geometry = Geometry(x, w, (1, 1), (pad, pad), (1, 1), x[1] // w[1], FLOAT)
        return choose_layout(geometry, direction)

    assert chosen((16, 64, 32, 32), (64, 64, 3, 3), FORWARD) == BLOCKED
    assert chosen((16, 256, 8, 8), (256, 256, 3, 3), FORWARD) == CHANNELS_LAST
    assert chosen((4, 256, 28, 28), (64, 256, 1, 1), FORWARD, 0) == PLAIN
    assert chosen((4, 3, 32, 32), (6, 3, 5, 5), BACKWARD_DATA) == PLAIN
    assert chosen((8, 32, 28, 28), (1, 32, 3, 3), BACKWARD_DATA) == CHANNELS_LAST
    assert chosen((4, 6, 14, 14), (16, 6, 5, 5), BACKWARD_WEIGHTS) == CHANNELS_LAST
    assert chosen((16, 512, 4, 4), (512, 512, 3, 3), BACKWARD_WEIGHTS) == PLAIN
    assert chosen((4, 64, 28, 28), (64, 1, 3, 3), FORWARD) == BLOCKED


def test_a_layout_without_code_gives_way(monkeypatch) -> None:
    case = replace(CASES[3])
    describe = onednn_convolution.describe

    def without_plain(geometry, direction, bias, layout):
        if layout == PLAIN:
            raise onednn.Unsupported("none")
        return describe(geometry, direction, bias, layout)

    monkeypatch.setattr(onednn_convolution, "choose_layout", lambda *_: PLAIN)
    monkeypatch.setattr(onednn_convolution, "describe", without_plain)
    test_forward(case, True)


def test_bfloat16() -> None:
    case, kind = CASES[3], np.dtype(ml_dtypes.bfloat16)
    short = [array.astype(kind) for array in arrays(case)]
    exact = [torch.from_numpy(array.astype(np.float32)) for array in short]
    try:
        call = prepare_convolution(case.x, case.w, True, *case.sizes(), kind)
    except onednn.Unsupported as error:
        pytest.skip(f"this processor has no code for bfloat16: {error}")
    y = call(*short)
    assert y.dtype == kind
    assert_close(y, reference(case, *exact), 1e-2)


@pytest.mark.parametrize(
    ("case", "dtype", "why"),
    [
        (Case((2, 4, 8, 8), (4, 4, 3, 3), padding=-1), FLOAT, "negative padding"),
        (Case((2, 4, 3, 3, 3, 3), (4, 4, 3, 3, 3, 3)), FLOAT, "three dimensions"),
        (Case((2, 4, 8, 8), (4, 4, 3, 3)), np.dtype(np.float64), "float64"),
    ],
)
def test_what_onednn_lacks_is_unsupported(case: Case, dtype, why: str) -> None:
    with pytest.raises(onednn.Unsupported, match=why):
        prepare_convolution(case.x, case.w, False, *case.sizes(), dtype)
