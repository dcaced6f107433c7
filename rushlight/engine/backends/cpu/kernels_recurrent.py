"""Recurrent layers whose steps are products too large for NumPy on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_matmul import NUMPY_PRODUCT, prepare_matmul
from rushlight.engine.core.dtype import float32
from rushlight.engine.ir.op import Spec, register_kernel
from rushlight.engine.ops import recurrent_sequence as sequence

Kernel = Callable[..., Any]

#: Multiplications of one step beyond which it is left to `prepare_matmul`: up to there NumPy uses
#: one thread. In microseconds on one core of a Zen 5 processor, the product of 32 samples of an
#: LSTM of 256: 90, NumPy's 159; beside a busy neighbour, 16 steps of 2 samples: 800, NumPy's 6000.
LEAST: Final = NUMPY_PRODUCT

_SINGLE = np.dtype(np.float32)


def _product(spec: Spec, weight: int, transposed: bool) -> Kernel | None:
    """The product of a step with the weights, the input number ``weight``."""
    rows, states = spec.inputs[weight], spec.inputs[weight - 1]
    if rows is None or states is None or not onednn.available():
        return None
    (width, size), batch = rows.shape, states.shape[0]
    if spec.out.dtype is not float32 or batch * width * size <= LEAST or not spec.out.numel:
        return None
    inner, strides = (size, (1, size)) if transposed else (width, (size, 1))
    shape = (size, width) if transposed else (width, size)
    try:
        return prepare_matmul((batch, inner), (inner, 1), shape, strides, None, _SINGLE)
    except onednn.Unsupported:
        return None


def _with_products(make: Callable[..., Kernel], weight: int, transposed: bool) -> Kernel:
    def kernel(spec: Spec, *attributes: bool) -> Kernel | None:
        product = _product(spec, weight, transposed)
        return None if product is None else make(spec, *attributes, product)

    return kernel


for _name, _make, _weight, _transposed in (
    ("lstm_sequence", sequence.lstm_kernel, 3, True),
    ("lstm_sequence_backward", sequence.lstm_backward_kernel, 4, False),
    ("gru_sequence", sequence.gru_kernel, 2, True),
    ("gru_sequence_backward", sequence.gru_backward_kernel, 2, False),
    ("elman_sequence", sequence.elman_kernel, 2, True),
    ("elman_sequence_backward", sequence.elman_backward_kernel, 2, False),
):
    register_kernel(_name)(_with_products(_make, _weight, _transposed))
