"""torch.autocast and its relatives against PyTorch's on a processor."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight.amp.casting import exchange
from rushlight.engine.ir.op import hooks
from rushlight.engine.trace.recorder import record

REASON = "PyTorch is not installed; the extra `oracle` has it"


@pytest.fixture(autouse=True)
def _nothing_is_left_in_place() -> Any:
    yield
    assert exchange.inside == 0
    assert hooks.record is record


def _square(t: Any) -> Any:
    return t.arange(16.0).reshape(4, 4) / 10


#: Calls by name: of a package and a 4 x 4 matrix.
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "mm": lambda t, x: t.mm(x, x),
    "@": lambda t, x: x @ x,
    "matrix @ vector": lambda t, x: x @ x[0],
    "matmul method": lambda t, x: x.matmul(x[0]),
    "vector @ matrix": lambda t, x: x[0] @ x,
    "mv": lambda t, x: t.mv(x, x[0]),
    "dot": lambda t, x: t.dot(x[0], x[1]),
    "bmm": lambda t, x: t.bmm(x[None], x[None]),
    "addmm": lambda t, x: t.addmm(x, x, x),
    "baddbmm": lambda t, x: t.baddbmm(x[None], x[None], x[None]),
    "addmv": lambda t, x: t.addmv(x[0], x, x[0]),
    "multi_dot": lambda t, x: t.linalg.multi_dot([x, x, x]),
    "vecdot": lambda t, x: t.linalg.vecdot(x, x),
    "einsum": lambda t, x: t.einsum("ij,jk->ik", x, x),
    "linear": lambda t, x: t.nn.functional.linear(x, x, x[0]),
    "bilinear": lambda t, x: t.nn.functional.bilinear(x, x, x.reshape(1, 4, 4)),
    "conv1d": lambda t, x: t.nn.functional.conv1d(x[None], x[None, :, :3], None),
    "conv2d": lambda t, x: t.nn.functional.conv2d(x[None, None], x[None, None, :2, :2]),
    "conv_transpose2d": lambda t, x: t.nn.functional.conv_transpose2d(
        x[None, None], x[None, None, :2, :2]
    ),
    "prelu": lambda t, x: t.nn.functional.prelu(x, x[0]),
    "attention": lambda t, x: t.nn.functional.scaled_dot_product_attention(
        x[None, None], x[None, None], x[None, None]
    ),
    "exp": lambda t, x: x.exp(),
    "softmax": lambda t, x: x.softmax(-1),
    "sum": lambda t, x: x.sum(),
    "prod": lambda t, x: x.prod(),
    "trace": lambda t, x: t.trace(x),
    "quantile": lambda t, x: t.quantile(x, 0.5),
    "cdist": lambda t, x: t.cdist(x, x),
    "layer_norm": lambda t, x: t.nn.functional.layer_norm(x, (4,)),
    "relu": lambda t, x: t.relu(x),
    "add": lambda t, x: x + x,
    "mse_loss": lambda t, x: t.nn.functional.mse_loss(x, x),
    "l1_loss": lambda t, x: t.nn.functional.l1_loss(x, x),
    "smooth_l1_loss": lambda t, x: t.nn.functional.smooth_l1_loss(x, x),
    "huber_loss": lambda t, x: t.nn.functional.huber_loss(x, x),
    "cross_entropy": lambda t, x: t.nn.functional.cross_entropy(x, t.tensor([0, 1, 2, 3])),
    "nll_loss": lambda t, x: t.nn.functional.nll_loss(x, t.tensor([0, 1, 2, 3])),
    "kl_div": lambda t, x: t.nn.functional.kl_div(x, x, reduction="batchmean"),
    "binary_cross_entropy": lambda t, x: t.nn.functional.binary_cross_entropy(
        x.sigmoid(), x.sigmoid()
    ),
    "with logits": lambda t, x: t.nn.functional.binary_cross_entropy_with_logits(x, x.sigmoid()),
    "module loss": lambda t, x: t.nn.MSELoss()(x, x),
    "max_pool2d": lambda t, x: t.nn.functional.max_pool2d(x[None], 2),
    "avg_pool3d": lambda t, x: t.nn.functional.avg_pool3d(x.reshape(1, 1, 2, 2, 4), 2),
    "reflect": lambda t, x: t.nn.functional.pad(x[None], (1, 1), mode="reflect"),
    "replicate": lambda t, x: t.nn.functional.pad(x[None, None], (1,) * 4, mode="replicate"),
    "inverse": lambda t, x: t.inverse(x + 3 * t.eye(4).to(x.dtype)),
    "solve": lambda t, x: t.linalg.solve(x + 3 * t.eye(4).to(x.dtype), x),
    "svdvals": lambda t, x: t.linalg.svdvals(x),
    "cat": lambda t, x: t.cat([x, x.bfloat16()]),
    "stack": lambda t, x: t.stack([x, x.bfloat16()]),
    "index_copy": lambda t, x: x.index_copy(0, t.tensor([0]), x[:1]),
    "whole": lambda t, x: t.mm(x.long(), x.long()),
    "double": lambda t, x: t.mm(x.double(), x.double()),
}


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CALLS)
def test_types_and_values_are_pytorchs(name: str, kind: str) -> None:
    torch = pytest.importorskip("torch", reason=REASON)
    found = []
    for package in (rushlight, torch):
        x = _square(package).to(getattr(package, kind))
        with package.autocast("cpu", dtype=package.bfloat16):
            y = CALLS[name](package, x)
        found.append((str(y.dtype), y.double().numpy()))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=0.03, atol=0.03)


def _train(package: Any) -> list[float]:
    package.manual_seed(0)
    nn = package.nn
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 16),
        nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 3),
    )  # fmt: skip
    x, y = package.randn(8, 1, 6, 6), package.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    optimizer = package.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        with package.autocast(device_type="cpu", dtype=package.bfloat16):
            out = model(x)
            loss = nn.functional.cross_entropy(out, y)
        assert out.dtype == package.bfloat16
        loss.backward()
        assert all(p.grad.dtype == package.float32 for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_training_goes_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch", reason=REASON)
    mine, theirs = _train(rushlight), _train(torch)
    np.testing.assert_allclose(mine, theirs, rtol=0.05, atol=0.02)
    assert mine[-1] < mine[0]


@pytest.mark.parametrize("name", ["LSTM", "MultiheadAttention", "TransformerEncoderLayer"])
def test_larger_modules(name: str) -> None:
    torch = pytest.importorskip("torch", reason=REASON)
    found = []
    for package in (rushlight, torch):
        options = {"d_model": 4, "nhead": 2} if "Transformer" in name else {}
        arguments = {"LSTM": (4, 4), "MultiheadAttention": (4, 2)}.get(name, ())
        module = getattr(package.nn, name)(*arguments, **options)
        x = _square(package)[:, None]
        with package.autocast("cpu"):
            y = module(x, x, x) if name == "MultiheadAttention" else module(x)
        found.append(str((y[0] if isinstance(y, tuple) else y).dtype))
    assert found[0] == found[1]


def test_nesting_flags_and_decorator() -> None:
    x = rushlight.ones(2, 2)
    assert not rushlight.is_autocast_enabled("cpu")
    with rushlight.autocast("cpu", dtype=rushlight.float16):
        assert rushlight.get_autocast_dtype("cpu") is rushlight.float16
        assert (x @ x).dtype is rushlight.float16
        with rushlight.autocast("cpu", enabled=False):
            assert not rushlight.is_autocast_enabled("cpu")
            assert (x @ x).dtype is rushlight.float32
        with rushlight.amp.autocast("cpu", dtype=rushlight.bfloat16):
            assert (x @ x).dtype is rushlight.bfloat16
        assert (x @ x).dtype is rushlight.float16
    assert rushlight.get_autocast_dtype("cpu") is rushlight.bfloat16
    assert (x @ x).dtype is rushlight.float32

    @rushlight.autocast("cpu")
    def product(a: Any) -> Any:
        return a @ a

    assert product(x).dtype is rushlight.bfloat16
    with pytest.raises(ZeroDivisionError), rushlight.autocast("cpu"):
        raise ZeroDivisionError
    assert (x @ x).dtype is rushlight.float32


def test_other_threads_compute_as_before() -> None:
    x, found = rushlight.ones(2, 2), []
    layer = rushlight.nn.Linear(2, 2)
    with rushlight.autocast("cpu"):
        thread = threading.Thread(
            target=lambda: found.extend([(x @ x).dtype, layer(x).dtype, (x @ x[0]).dtype])
        )
        thread.start()
        thread.join()
        assert layer(x).dtype is rushlight.bfloat16
    assert found == [rushlight.float32] * 3


def test_a_parameter_is_converted_once_and_never_stale() -> None:
    layer, x = rushlight.nn.Linear(2, 2, bias=False), rushlight.ones(1, 2)
    with rushlight.autocast("cpu"):
        with rushlight.no_grad():
            before = layer(x)
        loss = layer(x).float().sum() + layer(x).float().sum()
        loss.backward()
        with rushlight.no_grad():
            layer.weight.zero_()
        after = layer(x)
    assert layer.weight.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert bool((before != 0).all())
    assert after.tolist() == [[0.0, 0.0]]


def test_compiled_functions_know_of_it() -> None:
    layer, x = rushlight.nn.Linear(2, 2), rushlight.ones(1, 2)
    compiled = rushlight.compile(layer)
    for _ in range(3):
        assert compiled(x).dtype is rushlight.float32
        with rushlight.autocast("cpu"):
            assert compiled(x).dtype is rushlight.bfloat16


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "gpu scaler": lambda t: t.cuda.amp.GradScaler().is_enabled(),
    "scaler": lambda t: t.amp.GradScaler().is_enabled(),
    "cpu scaler": lambda t: t.amp.GradScaler("cpu").is_enabled(),
    "disabled": lambda t: (
        t.amp.GradScaler(enabled=False).get_scale(), t.amp.GradScaler(enabled=False).state_dict()
    ),
    "gpu autocast": lambda t: t.cuda.amp.autocast()._enabled,
    "cuda": lambda t: str(t.autocast("cuda").fast_dtype),
    "cpu autocast": lambda t: t.cpu.amp.autocast()._enabled,
    "float32": lambda t: t.autocast("cpu", dtype=t.float32)._enabled,
    "no device": lambda t: t.autocast("foo"),
    "number": lambda t: t.autocast(1),
    "enabled": lambda t: (t.is_autocast_enabled(), t.is_autocast_enabled("cpu")),
    "types": lambda t: (str(t.get_autocast_dtype("cpu")), str(t.get_autocast_dtype("cuda"))),
    "available": lambda t: (t.amp.is_autocast_available("cpu"),
                            t.amp.is_autocast_available("cuda")),
    "growth": lambda t: t.amp.GradScaler("cpu", growth_factor=1.0),
    "unused": lambda t: t.amp.GradScaler("cpu").update(),
    "wrong": lambda t: t.amp.GradScaler("cpu").scale(3),
}  # fmt: skip


def _answer(package: Any, question: Callable[[Any], Any]) -> tuple[Any, list[tuple[str, str]]]:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            answer = question(package)
        except (RuntimeError, ValueError, AssertionError) as error:
            answer = type(error).__name__, str(error).split(" cpu,")[0]  # PyTorch lists more kinds
    return answer, [(w.category.__name__, str(w.message)) for w in heard]


@pytest.mark.parametrize("name", QUESTIONS)
def test_answers_and_warnings_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason=REASON)
    assert _answer(rushlight, QUESTIONS[name]) == _answer(torch, QUESTIONS[name])


def _scaled(t: Any) -> list[Any]:
    scaler = t.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    p = t.nn.Parameter(t.ones(2))
    optimizer, seen = t.optim.SGD([p], lr=0.1), []
    for factor in (1.0, float("inf"), 1.0, 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        if factor == 1.0:
            scaler.unscale_(optimizer)
            seen.append(p.grad.tolist())
        scaler.step(optimizer)
        scaler.update()
        seen.append((scaler.state_dict(), [round(x, 6) for x in p.tolist()]))
    return seen


def test_the_scaler_goes_as_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason=REASON)
    assert _scaled(rushlight) == _scaled(torch)


def test_functions_of_ones_own() -> None:
    class Product(rushlight.autograd.Function):
        @staticmethod
        @rushlight.amp.custom_fwd(device_type="cpu", cast_inputs=rushlight.float32)
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            ctx.save_for_backward(a, b)
            return a @ b

        @staticmethod
        @rushlight.amp.custom_bwd(device_type="cpu")
        def backward(ctx: Any, gradient: Any) -> Any:
            a, b = ctx.saved_tensors
            return gradient @ b.t(), a.t() @ gradient

    x = rushlight.ones(2, 2, requires_grad=True)
    with rushlight.autocast("cpu"):
        y = Product.apply(x.bfloat16(), x)
    assert y.dtype is rushlight.float32
    y.sum().backward()
    assert x.grad.tolist() == [[4.0, 4.0], [4.0, 4.0]]
