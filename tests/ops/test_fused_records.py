"""Attention in blocks and recurrent layers as one operator, against what they are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight import nn
from rushlight._api import api

functional: Any = api.namespaces["nn.functional"]


def array(x: Any) -> np.ndarray:
    return np.asarray(x.detach().numpy())


def agree(ours: Sequence[Any], expected: Sequence[Any], tolerance: float) -> None:
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(array(a), array(b), rtol=tolerance, atol=tolerance)


# attention --------------------------------------------------------------------------------------


def plain_attention(q: Any, k: Any, v: Any, mask: Any, causal: bool) -> Any:
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
    if causal:
        later = rushlight.ones(q.shape[-2], k.shape[-2], dtype=rushlight.bool).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    if mask is not None:
        plain = mask.dtype is rushlight.bool
        scores = scores.masked_fill(~mask, -math.inf) if plain else scores + mask
    hidden = (scores == -math.inf).all(-1, keepdim=True)
    return scores.softmax(-1).masked_fill(hidden, 0.0) @ v


def attention_inputs(rows: int, columns: int) -> tuple[list[Any], Any]:
    rushlight.manual_seed(0)
    sizes = ((2, 3, rows, 8), (2, 3, columns, 8), (2, 3, columns, 8))
    tensors = [rushlight.randn(s, dtype=rushlight.float64).requires_grad_() for s in sizes]
    return tensors, rushlight.randn(sizes[0], dtype=rushlight.float64)


def make_mask(kind: str, rows: int, columns: int) -> Any:
    if kind == "none":
        return None
    if kind == "added":
        return rushlight.randn(rows, columns, dtype=rushlight.float64)
    mask = rushlight.rand(2, 1, rows, columns) > 0.5
    mask[0, 0, 1] = False  # a row that attends to nothing
    return mask


@pytest.mark.parametrize("size", [(5, 7), (300, 200), (130, 400)], ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["none", "added", "boolean"])
def test_attention(size: tuple[int, int], causal: bool, kind: str) -> None:
    inputs, weight = attention_inputs(*size)
    mask = make_mask(kind, *size)
    y = functional["scaled_dot_product_attention"](*inputs, mask, is_causal=causal)
    assert y.grad_fn.name() == "ScaledDotProductFlashAttentionForCpuBackward0"
    found = rushlight.autograd.grad((y * weight).sum(), inputs, retain_graph=True)
    recorded = rushlight.autograd.grad((y * weight).sum(), inputs, create_graph=True)
    expected = plain_attention(*inputs, mask, causal)
    wanted = rushlight.autograd.grad((expected * weight).sum(), inputs)
    agree([y, *found], [expected, *wanted], 1e-10)
    agree(recorded, wanted, 1e-10)


def test_the_layout_of_attention_follows_the_query() -> None:
    packed = rushlight.randn(2, 6, 3, 4).transpose(1, 2)
    y = functional["scaled_dot_product_attention"](packed, packed, packed)
    assert y.stride() == packed.stride()
    assert y.transpose(1, 2).is_contiguous()


# recurrent layers -------------------------------------------------------------------------------


def step_by_step(layer: Any, x: Any, state: Sequence[Any], suffix: str, reverse: bool) -> Any:
    kinds = {"LSTM": "lstm_cell", "GRU": "gru_cell", "RNN": "rnn_tanh_cell"}
    name = type(layer).__name__
    cell = api.namespaces["torch"][kinds[name]]
    if name == "RNN" and layer.nonlinearity == "relu":
        cell = api.namespaces["torch"]["rnn_relu_cell"]
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [getattr(layer, f"{name}_l0{suffix}") for name in names]
    rows = []
    now: Any = tuple(state) if len(state) > 1 else state[0]
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        now = cell(x[t], now, *weights)
        rows.append(now[0] if isinstance(now, tuple) else now)
    return rushlight.stack(rows[::-1] if reverse else rows), now


LAYERS = {
    "LSTM": lambda: nn.LSTM(3, 4, bidirectional=True, dtype=rushlight.float64),
    "GRU": lambda: nn.GRU(3, 4, bidirectional=True, dtype=rushlight.float64),
    "tanh": lambda: nn.RNN(3, 4, bidirectional=True, dtype=rushlight.float64),
    "relu": lambda: nn.RNN(
        3, 4, nonlinearity="relu", bidirectional=True, dtype=rushlight.float64
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_recurrent_layers(kind: str) -> None:
    rushlight.manual_seed(1)
    layer = LAYERS[kind]()
    x = rushlight.randn(7, 2, 3, dtype=rushlight.float64).requires_grad_()
    count = 2 if kind == "LSTM" else 1
    states = [
        rushlight.randn(2, 2, 4, dtype=rushlight.float64).requires_grad_() for _ in range(count)
    ]
    wanted = [x, *states, *layer.parameters()]
    y, last = layer(x, tuple(states) if count > 1 else states[0])
    ways = [
        step_by_step(layer, x, [s[way] for s in states], suffix, way == 1)
        for way, suffix in enumerate(("", "_reverse"))
    ]
    expected = rushlight.cat([way[0] for way in ways], 2)
    ends = last if count > 1 else (last,)
    rows = [way[1] if count > 1 else (way[1],) for way in ways]
    expected_ends = [rushlight.stack([row[k] for row in rows]) for k in range(count)]
    agree([y, *ends], [expected, *expected_ends], 1e-12)

    def total(outputs: Sequence[Any]) -> Any:
        return sum((part * part * part.cos()).sum() for part in outputs)

    ours = rushlight.autograd.grad(total([y, *ends]), wanted, retain_graph=True)
    recorded = rushlight.autograd.grad(total([y, *ends]), wanted, create_graph=True)
    theirs = rushlight.autograd.grad(total([expected, *expected_ends]), wanted, create_graph=True)
    agree(ours, theirs, 1e-11)
    agree(recorded, theirs, 1e-11)
    second = rushlight.autograd.grad(total(recorded), wanted)
    agree(second, rushlight.autograd.grad(total(theirs), wanted), 1e-9)
