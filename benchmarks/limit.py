"""How far a step is from what its matrix products and convolutions alone would take.

``python -m benchmarks.limit WORKLOAD`` answers for one workload in JSON. The operations of a step
are read from rushlight's programs. For each kind of matrix product and convolution among them two
times are taken: its arithmetic at the machine's best rate (that of large matrix products), and the
measured time at its own shapes, alone, by whichever of rushlight's kernel, NumPy and PyTorch is
fastest. Every other operation is measured through rushlight's interpreter kernel.
"""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.sides import ROOT, environment, note
from benchmarks.workloads import WORKLOADS

Call = Callable[[], Any]
Sizes = tuple[int, int, int, int]  # batches, rows, inner size, columns
Products = list[tuple[int, Sizes]]  # how many of which

# Which tensors of a convolution have its outputs' size and its weights' size; -1 is the result.
_CONVOLUTIONS = {
    "convolution": (-1, 1),
    "convolution_input_grad": (0, 1),
    "convolution_weight_grad": (1, -1),
}


def _alone(call: Call, budget: float = 0.01) -> float:
    """Seconds of a call: the best of several turns, each long enough for the clock."""
    call()
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-7)
    repeats = max(1, min(200, int(budget / 4 / once)))
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        best = min(best, (time.perf_counter() - start) / repeats)
    return best


def _torch() -> Any:
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch


def product_sizes(spec: Any) -> Sizes | None:
    """Batches, rows, inner size and columns of a product, whatever is transposed in it.

    They follow from the numbers of elements: ``m*k``, ``k*n`` and ``m*n`` determine ``m``, ``k``
    and ``n``. ``None`` for what has not two operands with rows and columns.
    """
    operands = [meta for meta in spec.inputs if meta is not None and meta.ndim >= 2]
    if len(operands) != 2 or spec.out.ndim < 2 or not spec.out.numel:
        return None
    several = min(spec.out.ndim, *(meta.ndim for meta in operands)) > 2
    batches = math.prod(spec.out.shape[:-2]) if several else 1
    left, right, out = (meta.numel // batches for meta in (*operands, spec.out))
    rows, inner = math.isqrt(left * out // right), math.isqrt(left * right // out)
    columns = math.isqrt(right * out // left)
    if (rows * inner, inner * columns, rows * columns) != (left, right, out):
        return None
    return batches, rows, inner, columns


def _attention(spec: Any) -> Products:
    """Scores and weighted values, counted in full where half of them are masked."""
    query, key, value = (meta.shape for meta in spec.inputs[:3])
    batches, rows, columns = math.prod(query[:-2]), query[-2], key[-2]
    return [(1, (batches, rows, query[-1], columns)), (1, (batches, rows, columns, value[-1]))]


def _attention_backward(spec: Any) -> Products:
    """The scores again, and the gradients of weights, values, queries and keys."""
    query, key, value = (meta.shape for meta in spec.inputs[1:4])
    batches, rows, columns = math.prod(query[:-2]), query[-2], key[-2]
    return [
        (2, (batches, rows, query[-1], columns)),  # scores; gradient of the queries
        (1, (batches, rows, value[-1], columns)),  # gradient of the weights
        (1, (batches, columns, rows, value[-1])),  # gradient of the values
        (1, (batches, columns, rows, query[-1])),  # gradient of the keys
    ]


def _lstm(spec: Any) -> Products:
    """Hidden state times weight, word after word."""
    length, batch, gates = spec.inputs[0].shape
    return [(length, (1, batch, gates // 4, gates))]


def _lstm_backward(spec: Any) -> Products:
    """The hidden state's gradient word after word, the weight's at once."""
    length, batch, gates = spec.out.shape
    return [
        (length, (1, batch, gates, gates // 4)),
        (1, (1, gates, length * batch, gates // 4)),
    ]


_CONTAINING: dict[str, Callable[[Any], Products]] = {
    "attention_": _attention,
    "attention_backward": _attention_backward,
    "lstm_sequence": _lstm,
    "lstm_sequence_backward": _lstm_backward,
}


def products_of(spec: Any) -> Products:
    """The matrix products that an operator consists of or contains."""
    if spec.op.name in _CONTAINING:
        return _CONTAINING[spec.op.name](spec)
    sizes = product_sizes(spec) if spec.op.kind == "matmul" else None
    return [] if sizes is None else [(1, sizes)]


def operations(spec: Any) -> float:
    """Floating point operations of the matrix products, or of a direct convolution."""
    if spec.op.name in _CONVOLUTIONS:
        tensors = [*spec.inputs, spec.out]
        outputs, weights = (tensors[place] for place in _CONVOLUTIONS[spec.op.name])
        return 2.0 * outputs.numel * weights.numel / outputs.shape[1]
    return sum(2.0 * count * math.prod(sizes) for count, sizes in products_of(spec))


def best_rate(peer: Any) -> float:
    """Operations a second in a product of 768 x 768 float32 numbers, whoever is fastest."""
    size = 768  # short enough to fall between two interruptions on a busy machine
    a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    calls: list[Call] = [partial(np.matmul, a, a)]
    if peer is not None:
        tensor = peer.from_numpy(a)
        calls.append(partial(peer.mm, tensor, tensor))
    return 2.0 * size**3 / min(_alone(call) for call in calls for _ in range(8))


def _array(meta: Any) -> Any:
    """Numbers that suit any kernel: small positive ones; zeros where they may be indices."""
    from rushlight.engine.ir.buffers import empty_strided

    array = empty_strided(meta)
    floating = meta.dtype.is_floating_point
    array[...] = np.random.default_rng(0).uniform(0.5, 1.0, meta.shape) if floating else 0
    return array


def _own(spec: Any) -> Call:
    """rushlight's kernel on inputs of its own."""
    arrays = [None if meta is None else _array(meta) for meta in spec.inputs]
    return partial(spec.kernel, *arrays)


def _product(sizes: Sizes, peer: Any) -> Iterator[Call]:
    """A matrix product by NumPy and by PyTorch."""
    batches, rows, inner, columns = sizes
    a = np.full((batches, rows, inner), 0.5, np.float32)
    b = np.full((batches, inner, columns), 0.5, np.float32)
    if batches == 1:
        a, b = a[0], b[0]
    yield partial(np.matmul, a, b, out=np.empty((*a.shape[:-1], columns), np.float32))
    if peer is not None:
        yield partial(peer.matmul, peer.from_numpy(a), peer.from_numpy(b))


def _best(spec: Any, own: float, peer: Any) -> float:
    """Seconds of the products or the convolution alone, by whoever is fastest."""
    if spec.op.kind == "conv":
        known = peer is not None and spec.op.name in _CONVOLUTIONS
        return min(own, _alone(_convolution(spec, peer))) if known else own
    others = sum(
        count * min(_alone(call) for call in _product(sizes, peer))
        for count, sizes in products_of(spec)
    )
    return min(own, others) if others else own


def _convolution(spec: Any, torch: Any) -> Call:
    """A convolution or one of its gradients, by PyTorch."""
    padded = [list(spec.attr(name)) for name in ("stride", "padding", "dilation")]
    rest = (*padded, False, [0] * len(padded[0]), spec.attr("groups"))
    first, second, out = (
        torch.full(meta.shape, 0.5) for meta in (spec.inputs[0], spec.inputs[1], spec.out)
    )
    if spec.op.name == "convolution":
        return partial(torch.ops.aten.convolution, first, second, None, *rest)
    if spec.op.name == "convolution_input_grad":
        tensors, wanted = (first, out, second), [True, False, False]
    else:
        tensors, wanted = (second, first, out), [False, True, False]
    return partial(torch.ops.aten.convolution_backward, *tensors, None, *rest, wanted)


def _states(state: Any) -> Iterator[Any]:
    waiting = [state]
    while waiting:
        state = waiting.pop()
        yield state
        waiting.extend(state.values())


def _programs() -> dict[Any, int]:
    """How often each program has run."""
    from rushlight.engine.runtime.cache import slots

    return {
        program: program.runs
        for slot in slots.every.values()
        for state in _states(slot.root)
        for program in (state.by_held or {}).values()
    }


def specs_of(step: Callable[[], Any], steps: int) -> Counter[Any]:
    """Which operations ``steps`` steps run, and how often."""
    before = _programs()
    for _ in range(steps):
        step().item()
    counted: Counter[Any] = Counter()
    for program, runs in _programs().items():
        for node in program.nodes:
            counted[node.spec] += runs - before.get(program, 0)
    return +counted


def measure(key: str) -> dict[str, Any]:
    """The row of one workload, measured in this process."""
    import rushlight

    workload = WORKLOADS[key]
    step = workload.build(rushlight)
    for _ in range(workload.warmup):
        step().item()
    counted = specs_of(step, workload.steps)
    start = time.perf_counter()
    for _ in range(workload.steps):
        step().item()
    seconds = (time.perf_counter() - start) / workload.steps
    peer = _torch()
    rate = best_rate(peer)
    arithmetic, products = 0.0, 0.0
    kinds: defaultdict[str, float] = defaultdict(float)
    unmeasured: set[str] = set()
    for spec, times in counted.items():
        share = times / workload.steps
        try:
            with np.errstate(all="ignore"):
                own = _alone(_own(spec))
        except Exception as error:
            unmeasured.add(f"{spec.op.name}: {error}"[:100])
            continue
        flops = operations(spec)
        if spec.op.kind in ("matmul", "conv") or flops:
            best = _best(spec, own, peer)
            arithmetic += share * flops
            products += share * best
            if spec.op.kind == "matmul":  # on a busy machine a short one may run undisturbed
                rate = max(rate, flops / best)
            elif spec.op.kind != "conv":
                kinds["around products"] += share * (own - best)
        else:
            kinds[spec.op.kind] += share * own
    rate = max(rate, best_rate(peer))  # the load of the machine may have been another one
    return {
        "workload": key, "title": workload.title, "step": seconds, "rate": rate,
        "operations": arithmetic, "at best rate": arithmetic / rate, "products alone": products,
        "other kernels alone": dict(kinds), "not measured": sorted(unmeasured),
    }  # fmt: skip


def limits(keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows, each measured in a process of its own."""
    for key in keys:
        note(f"distance from the limit: {WORKLOADS[key].title}")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.limit", key],
            capture_output=True, text=True, cwd=ROOT, env=environment(),
        )  # fmt: skip
        if done.returncode:
            note(f"{key} is left out: {done.stderr.strip().splitlines()[-1]}")
            continue
        yield json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
