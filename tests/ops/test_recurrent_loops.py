"""Recurrent layers as loop kernels, and with a library's products, against the NumPy kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.engine.backends.cpu import onednn
from rushlight.engine.core.config import config
from rushlight.engine.core.dtype import float32, float64
from rushlight.engine.ir.graph import make_meta
from rushlight.engine.ir.op import Op, Spec
from rushlight.engine.ops import recurrent_loops
from rushlight.engine.runtime import compiling

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("GRU", {}),
    ("GRU", {"bias": False, "bidirectional": True}),
    ("RNN", {"bidirectional": True}),
    ("RNN", {"nonlinearity": "relu", "bias": False}),
]


def results(kind: str, settings: dict[str, Any], sizes: tuple[int, int, int], final: bool) -> Any:
    """Outputs and gradients of a layer; from its final states as well if ``final``."""
    steps, batch, hidden = sizes
    torch.manual_seed(1)
    layer = getattr(nn, kind)(5, hidden, **settings)
    x = torch.randn(steps, batch, 5, requires_grad=True)
    for _ in range(4):
        for parameter in layer.parameters():
            parameter.grad = None
        x.grad = None
        y, state = layer(x)
        loss = (y * y.detach().cos()).sum()
        if final:
            parts = state if isinstance(state, tuple) else (state,)
            loss = loss + sum((part * part).sum() for part in parts)
        loss.backward()
        found = [y.detach().numpy(), x.grad.numpy()]
        found += [parameter.grad.numpy() for parameter in layer.parameters()]
    return found


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1, 8), (2, 3, 17), (13, 1, 32), (6, 4, 9)])
@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_loops_agree_with_the_interpreter(
    kind: str, settings: dict[str, Any], sizes: tuple[int, int, int], final: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    used: list[str] = []
    for name in ("lstm", "lstm_backward", "gru", "gru_backward", "elman", "elman_backward"):
        op = Op.registry[f"{name.partition('_')[0]}_sequence{'_backward' * ('_' in name)}"]
        monkeypatch.setattr(op, "loops", _noted(getattr(recurrent_loops, name), name, used))
    wanted = results(kind, settings, sizes, final)
    assert not used
    for name, value in (("begin", 1), ("use", 1), ("nodes", 1), ("patient", False)):
        monkeypatch.setattr(compiling.thresholds, name, value)
    found = results(kind, settings, sizes, final)
    if config.compiler:
        assert {name for name in used if name.endswith("backward")}
    for mine, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, other, 2e-5, 2e-6)


def _noted(make: Callable[..., Any], name: str, used: list[str]) -> Callable[..., Any]:
    def loops(*arguments: Any) -> Any:
        kernel = make(*arguments)
        if kernel is not None:
            used.append(name)
        return kernel

    return loops


def _spec(name: str, shapes: list[tuple[int, ...]], kind: Any, *attributes: bool) -> Spec:
    op = Op.registry[name]
    metas = tuple(make_meta(shape, kind) for shape in shapes)
    return Spec(op, metas, attributes, op.infer(*metas, *attributes))


def _shapes(name: str, steps: int, batch: int, size: int) -> list[tuple[int, ...]]:
    """Of an operator's inputs."""
    kind, backward = name.partition("_")[0], name.endswith("backward")
    gates = {"lstm": 4, "gru": 3, "elman": 1}[kind]
    states, state = (steps, batch, size), (batch, size)
    weight, wide = (gates * size, size), (steps, batch, gates * size)
    firsts = [state, state] if kind == "lstm" else [state]
    bias = [(gates * size,)] if kind == "gru" else []
    if not backward:
        return [wide, *firsts, weight, *bias]
    acts = [(steps, batch, 4 * size)] if kind != "elman" else []
    saved = [states] * len(firsts)
    return [*saved, *firsts, weight, *bias, *saved, *acts]


NAMES = [f"{kind}_sequence{end}" for kind in ("lstm", "gru", "elman") for end in ("", "_backward")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [3, 40])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.skipif(not onednn.available(), reason="oneDNN is absent")
def test_products_of_a_library(name: str, steps: int, reverse: bool) -> None:
    attributes = (True, reverse) if name.startswith("elman") else (reverse,)
    spec = _spec(name, _shapes(name, steps, 24, 240), float32, *attributes)
    ours = spec.op.backend_kernels[0](spec, *attributes)
    assert ours is not None
    source = np.random.default_rng(0)
    metas = [meta for meta in spec.inputs if meta is not None]
    arrays = [source.standard_normal(meta.shape, np.float32) / 16 for meta in metas]
    wanted = spec.op.kernel(spec, *attributes)(*[a.astype(np.float64) for a in arrays])
    found = ours(*arrays)
    if isinstance(found, np.ndarray):
        found, wanted = (found,), (wanted,)
    for mine, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, other, 1e-4, 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_many_samples_and_double_precision_are_left_to_others(name: str) -> None:
    attributes = (False, False) if name.startswith("elman") else (False,)
    for batch, size, kind, taken in (
        (recurrent_loops.SAMPLES, 8, float32, True),
        (recurrent_loops.SAMPLES + 1, 8, float32, False),
        (1, recurrent_loops.SIZE + 1, float32, False),
        (1, 8, float64, False),
    ):
        spec = _spec(name, _shapes(name, 3, batch, size), kind, *attributes)
        strides = [None if m is None else tuple(m.strides) for m in spec.inputs]
        assert (spec.op.loops(spec, strides, *attributes) is not None) == taken
        if size == 8:
            assert spec.op.backend_kernels[0](spec, *attributes) is None
