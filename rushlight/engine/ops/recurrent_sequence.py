"""Recurrent layers over a whole sequence as one operator each: LSTM, GRU and Elman networks.

The input's share of the gates comes as an operand, computed for all steps at once; the operator
goes from step to step, and its gradient goes back; the weights' gradient is one product at the end.
Where it is to be differentiated again, the gradient is written with recorded operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from rushlight.engine.core.dtype import float32
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec, function_of
from rushlight.engine.ops import recurrent_loops as loops
from rushlight.engine.ops.matmul import matmul_tn

Array = np.ndarray

#: Elements of the gates that are worked on at a time: they stay in the cache.
CHUNK: Final = 65536

#: A product of two matrices into a third, ``product(a, b, out=c)``, which is returned.
Product = Callable[..., Array]


def _turns(steps: int, reverse: bool) -> range:
    """The steps in the order in which they are computed."""
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _chunks(steps: int, rows: int, reverse: bool) -> list[tuple[slice, range]]:
    """Parts of so many steps in the order in which they are computed, and the steps in each."""
    parts = [slice(k, min(k + rows, steps)) for k in range(0, steps, rows)]
    turns = [(part, _turns(part.stop - part.start, reverse)) for part in parts]
    return turns[::-1] if reverse else turns


def _before(first: Array, states: Array, reverse: bool) -> Array:
    """The state before every step, from the first one and the states after the steps."""
    made = np.empty_like(states)
    if reverse:
        made[-1], made[:-1] = first, states[1:]
    else:
        made[0], made[1:] = first, states[:-1]
    return made


def _before_recorded(first: Any, states: Any, reverse: bool) -> Any:
    """The same by recorded operations."""
    one, cat = first.unsqueeze(0), function_of("torch.cat")
    return cat([states[1:], one]) if reverse else cat([one, states[:-1]])


def _again(*parts: Any) -> bool:
    """Whether what is computed from these will be differentiated."""
    return any(part is not None and part.requires_grad for part in parts)


def _wanted(made: Sequence[Any], needs: Sequence[bool]) -> tuple[Any, ...]:
    return tuple(part if need else None for part, need in zip(made, needs, strict=True))


# LSTM -------------------------------------------------------------------------------------------


def _lstm_infer(
    gates: Meta, hidden: Meta, cell: Meta, weight: Meta, reverse: bool
) -> tuple[Meta, Meta, Meta]:
    steps, batch, width = gates.shape
    states = make_meta((steps, batch, width // 4), gates.dtype)
    return states, states, make_meta((steps, batch, width), gates.dtype)


def lstm_kernel(
    spec: Spec, reverse: bool, product_of: Product = np.matmul
) -> Callable[..., tuple[Array, ...]]:
    """On arrays; ``product_of(state, weight transposed, out=...)`` as for the others."""
    steps, batch, width = spec.outs[2].shape
    size, kind = width // 4, spec.out.dtype.numpy
    # 1 / (1 + exp(-x)) = tanh(x / 2) / 2 + 1 / 2: one function for all four gates
    factor = np.full((4, size), 0.5, kind)
    factor[2] = 1
    offset = np.where(factor == 1, kind.type(0), kind.type(0.5))
    turns = _turns(steps, reverse)

    def call(gates: Array, hidden: Array, cell: Array, weight: Array) -> tuple[Array, ...]:
        acts = gates.reshape(steps, batch, 4, size) * factor
        scaled = (weight.reshape(4, size, size) * factor[:, :, None]).reshape(width, size).T
        states, cells = (np.empty((steps, batch, size), kind) for _ in range(2))
        product = np.empty((batch, width), kind)
        parts = product.reshape(batch, 4, size)
        for t in turns:
            now = acts[t]
            product_of(hidden, scaled, out=product)
            now += parts
            np.tanh(now, out=now)
            now *= factor
            now += offset
            after, hidden = cells[t], states[t]
            np.multiply(now[:, 1], cell, out=after)
            after += now[:, 0] * now[:, 2]
            np.tanh(after, out=hidden)
            hidden *= now[:, 3]
            cell = after
        return states, cells, acts.reshape(steps, batch, width)

    return call


def _lstm_backward_infer(
    g_states: Meta | None, g_cells: Meta | None, hidden: Meta, cell: Meta, weight: Meta,
    states: Meta, cells: Meta, acts: Meta, reverse: bool,
) -> tuple[Meta, ...]:  # fmt: skip
    return acts.like(), hidden.like(), cell.like(), states.like()


def lstm_backward_kernel(
    spec: Spec, reverse: bool, product_of: Product = np.matmul
) -> Callable[..., tuple[Array, ...]]:
    """On arrays; ``product_of(slopes, weight, out=...)`` as for the others."""
    steps, batch, width = spec.out.shape
    size, kind = width // 4, spec.out.dtype.numpy
    chunks = _chunks(steps, max(1, CHUNK // (batch * width or 1)), not reverse)

    def call(
        g_states: Array | None, g_cells: Array | None, hidden: Array, cell: Array,
        weight: Array, states: Array, cells: Array, acts: Array,
    ) -> tuple[Array, ...]:  # fmt: skip
        four, earlier = acts.reshape(steps, batch, 4, size), _before(cell, cells, reverse)
        flat = np.empty((steps, batch, width), kind)
        to_hidden, to_cell = (np.zeros((batch, size), kind) for _ in range(2))
        for part, turns in chunks:
            now, made = four[part], flat[part].reshape(-1, batch, 4, size)
            i, f, g, o = (now[:, :, k] for k in range(4))
            bent = np.tanh(cells[part])
            np.multiply(now, 1 - now, out=made)  # of the sigmoids
            np.multiply(i, 1 - g * g, out=made[:, :, 2])
            made[:, :, 0] *= g
            made[:, :, 1] *= earlier[part]
            made[:, :, 3] *= bent
            through = o * (1 - bent * bent)
            for t in turns:
                if g_states is not None:
                    to_hidden += g_states[part][t]
                if g_cells is not None:
                    to_cell += g_cells[part][t]
                to_cell += to_hidden * through[t]
                made[t, :, :3] *= to_cell[:, None]
                made[t, :, 3] *= to_hidden
                to_cell *= f[t]
                product_of(made[t].reshape(batch, width), weight, out=to_hidden)
        return flat, to_hidden, to_cell, _before(hidden, states, reverse)

    return call


def _lstm_recorded(
    g_states: Any, g_cells: Any, gates: Any, hidden: Any, cell: Any, weight: Any, states: Any,
    cells: Any, reverse: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """The gradients of an LSTM by recorded operations."""
    before = _before_recorded(hidden, states, reverse)
    i, f, g, o = (gates + before @ weight.t()).chunk(4, -1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    bent, last = cells.tanh(), _before_recorded(cell, cells, reverse)
    through = o * (1 - bent * bent)
    slopes = (g * i * (1 - i), last * f * (1 - f), i * (1 - g * g), bent * o * (1 - o))
    to_hidden, to_cell = hidden * 0, cell * 0
    rows: list[Any] = []
    for t in _turns(gates.shape[0], not reverse):
        to_hidden = to_hidden if g_states is None else to_hidden + g_states[t]
        to_cell = to_cell if g_cells is None else to_cell + g_cells[t]
        to_cell = to_cell + to_hidden * through[t]
        parts = [slope[t] * to_cell for slope in slopes[:3]]
        rows.append(function_of("torch.cat")([*parts, slopes[3][t] * to_hidden], -1))
        to_cell = to_cell * f[t]
        to_hidden = rows[-1] @ weight
    made = function_of("torch.stack")(rows if reverse else rows[::-1])
    width = made.shape[-1]
    to_weight = made.reshape(-1, width).t() @ before.reshape(-1, before.shape[-1])
    return made, to_hidden, to_cell, to_weight


def _lstm_gradient(
    g0: Any, g1: Any, gates: Any, hidden: Any, cell: Any, weight: Any, result: Any, result1: Any,
    result2: Any, reverse: bool, needs: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    if _again(g0, g1, gates, hidden, cell, weight):
        made = _lstm_recorded(g0, g1, gates, hidden, cell, weight, result, result1, reverse)
    else:
        *made, before = lstm_sequence_backward(
            g0, g1, hidden, cell, weight, result, result1, result2, reverse=reverse
        )
        made.append(matmul_tn(made[0], before) if needs[3] else None)
    return _wanted(made, needs)


# the gradients of gates and first states, and the hidden state before every step
lstm_sequence_backward = Op(
    "lstm_sequence_backward(Tensor? g_states, Tensor? g_cells, Tensor hidden, Tensor cell, "
    "Tensor weight, Tensor states, Tensor cells, Tensor acts, bool reverse)",
    kind=OTHER,
    infer=_lstm_backward_infer,
    kernel=lstm_backward_kernel,
    loops=loops.lstm_backward,
)

# hidden and cell states after every step, and the gates: input, forget, cell, output
lstm_sequence = Op(
    "lstm_sequence(Tensor gates, Tensor hidden, Tensor cell, Tensor weight, bool reverse)",
    kind=OTHER,
    infer=_lstm_infer,
    kernel=lstm_kernel,
    loops=loops.lstm,
    grad={"gates, hidden, cell, weight": _lstm_gradient},
    differentiable=2,
    fills_missing=False,
    grad_name=lambda spec: "MkldnnRnnLayer" if spec.out.dtype is float32 else "Stack",
)


# GRU --------------------------------------------------------------------------------------------


def _gru_infer(
    gates: Meta, hidden: Meta, weight: Meta, bias: Meta | None, reverse: bool
) -> tuple[Meta, Meta]:
    steps, batch, width = gates.shape
    size = width // 3
    kind = gates.dtype
    return make_meta((steps, batch, size), kind), make_meta((steps, batch, 4 * size), kind)


def gru_kernel(
    spec: Spec, reverse: bool, product_of: Product = np.matmul
) -> Callable[..., tuple[Array, Array]]:
    """On arrays."""
    steps, batch, size = spec.out.shape
    kind = spec.out.dtype.numpy
    half = kind.type(0.5)
    turns = _turns(steps, reverse)

    def call(
        gates: Array, hidden: Array, weight: Array, bias: Array | None
    ) -> tuple[Array, Array]:
        shares = gates.reshape(steps, batch, 3, size)
        states, acts = (np.empty((steps, batch, *s), kind) for s in ((size,), (4, size)))
        turned, product = weight.T, np.empty((batch, 3 * size), kind)
        parts = product.reshape(batch, 3, size)
        for t in turns:
            now, share = acts[t], shares[t]
            product_of(hidden, turned, out=product)
            if bias is not None:
                product += bias
            both = now[:, :2]
            np.add(share[:, :2], parts[:, :2], out=both)
            both *= half
            np.tanh(both, out=both)
            both *= half
            both += half
            new = now[:, 2]
            now[:, 3] = parts[:, 2]
            np.multiply(now[:, 0], parts[:, 2], out=new)
            new += share[:, 2]
            np.tanh(new, out=new)
            after = states[t]
            np.subtract(hidden, new, out=after)
            after *= now[:, 1]
            after += new
            hidden = after
        return states, acts.reshape(steps, batch, 4 * size)

    return call


def _gru_backward_infer(
    g_states: Meta, hidden: Meta, weight: Meta, bias: Meta | None, states: Meta, acts: Meta,
    reverse: bool,
) -> tuple[Meta, ...]:  # fmt: skip
    steps, batch, size = states.shape
    gates = make_meta((steps, batch, 3 * size), states.dtype)
    return gates, hidden.like(), gates, states.like()


def gru_backward_kernel(
    spec: Spec, reverse: bool, product_of: Product = np.matmul
) -> Callable[..., tuple[Array, ...]]:
    """On arrays."""
    steps, batch, width = spec.out.shape
    size, kind = width // 3, spec.out.dtype.numpy
    turns = _turns(steps, not reverse)

    def call(
        g_states: Array, hidden: Array, weight: Array, bias: Array | None, states: Array,
        acts: Array,
    ) -> tuple[Array, ...]:  # fmt: skip
        four = acts.reshape(steps, batch, 4, size)
        reset, update, new, share = (four[:, :, k] for k in range(4))
        before = _before(hidden, states, reverse)
        slopes = np.empty((steps, batch, 3, size), kind)
        slopes[:, :, 2] = (1 - update) * (1 - new * new)
        slopes[:, :, 0] = slopes[:, :, 2] * share * reset * (1 - reset)
        slopes[:, :, 1] = (before - new) * update * (1 - update)
        inner = slopes.copy()  # those of the hidden state's share
        inner[:, :, 2] *= reset
        to_hidden = np.zeros((batch, size), kind)
        flat, product = inner.reshape(steps, batch, width), np.empty((batch, size), kind)
        for t in turns:
            to_hidden += g_states[t]
            slopes[t] *= to_hidden[:, None]
            inner[t] *= to_hidden[:, None]
            to_hidden *= update[t]
            to_hidden += product_of(flat[t], weight, out=product)
        return slopes.reshape(steps, batch, width), to_hidden, flat, before

    return call


def _gru_recorded(
    g_states: Any, gates: Any, hidden: Any, weight: Any, bias: Any, states: Any, reverse: bool
) -> tuple[Any, ...]:
    """The gradients of a GRU by recorded operations."""
    before = _before_recorded(hidden, states, reverse)
    product = before @ weight.t()
    product = product if bias is None else product + bias
    (xr, xz, xn), (hr, hz, hn) = gates.chunk(3, -1), product.chunk(3, -1)
    reset, update = (xr + hr).sigmoid(), (xz + hz).sigmoid()
    new = (xn + reset * hn).tanh()
    to_new = (1 - update) * (1 - new * new)
    to_reset = to_new * hn * reset * (1 - reset)
    to_update = (before - new) * update * (1 - update)
    cat, stack = function_of("torch.cat"), function_of("torch.stack")
    slopes = cat([to_reset, to_update, to_new], -1)
    inner = cat([to_reset, to_update, to_new * reset], -1)
    to_hidden = hidden * 0
    rows, inner_rows = [], []
    for t in _turns(gates.shape[0], not reverse):
        to_hidden = to_hidden + g_states[t]
        wide = to_hidden.repeat(1, 3)
        rows.append(slopes[t] * wide)
        inner_rows.append(inner[t] * wide)
        to_hidden = to_hidden * update[t] + inner_rows[-1] @ weight
    made, flat = (stack(part if reverse else part[::-1]) for part in (rows, inner_rows))
    columns = flat.reshape(-1, flat.shape[-1])
    to_weight = columns.t() @ before.reshape(-1, before.shape[-1])
    return made, to_hidden, to_weight, columns.sum(0)


def _gru_gradient(
    g0: Any, gates: Any, hidden: Any, weight: Any, bias: Any, result: Any, result1: Any,
    reverse: bool, needs: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    if _again(g0, gates, hidden, weight, bias):
        made = _gru_recorded(g0, gates, hidden, weight, bias, result, reverse)
    else:
        slopes, to_hidden, inner, before = gru_sequence_backward(
            g0, hidden, weight, bias, result, result1, reverse=reverse
        )
        to_weight = matmul_tn(inner, before) if needs[2] else None
        made = slopes, to_hidden, to_weight, inner.sum((0, 1)) if needs[3] else None
    return _wanted(made, needs)


# the gradients of gates and first state, that of the hidden state's share of the gates, and the
# hidden state before every step
gru_sequence_backward = Op(
    "gru_sequence_backward(Tensor g_states, Tensor hidden, Tensor weight, Tensor? bias, "
    "Tensor states, Tensor acts, bool reverse)",
    kind=OTHER,
    infer=_gru_backward_infer,
    kernel=gru_backward_kernel,
    loops=loops.gru_backward,
)

# hidden states after every step, and reset, update and new gate with the new one's hidden share
gru_sequence = Op(
    "gru_sequence(Tensor gates, Tensor hidden, Tensor weight, Tensor? bias, bool reverse)",
    kind=OTHER,
    infer=_gru_infer,
    kernel=gru_kernel,
    loops=loops.gru,
    grad={"gates, hidden, weight, bias": _gru_gradient},
    differentiable=1,
    grad_name="Stack",
)


# Elman networks ---------------------------------------------------------------------------------


def elman_kernel(
    spec: Spec, relu: bool, reverse: bool, product_of: Product = np.matmul
) -> Callable[..., Array]:
    """On arrays."""
    turns = _turns(spec.out.shape[0], reverse)

    def call(gates: Array, hidden: Array, weight: Array) -> Array:
        states, turned = np.empty(gates.shape, gates.dtype), weight.T
        for t in turns:
            now = states[t]
            product_of(hidden, turned, out=now)
            now += gates[t]
            if relu:
                np.maximum(now, 0, out=now)
            else:
                np.tanh(now, out=now)
            hidden = now
        return states

    return call


def _elman_backward_infer(
    g_states: Meta, hidden: Meta, weight: Meta, states: Meta, relu: bool, reverse: bool
) -> tuple[Meta, ...]:
    return states.like(), hidden.like(), states.like()


def elman_backward_kernel(
    spec: Spec, relu: bool, reverse: bool, product_of: Product = np.matmul
) -> Callable[..., tuple[Array, ...]]:
    """On arrays."""
    turns = _turns(spec.out.shape[0], not reverse)

    def call(
        g_states: Array, hidden: Array, weight: Array, states: Array
    ) -> tuple[Array, ...]:
        kind = states.dtype
        slopes = (states > 0).astype(kind) if relu else 1 - states * states
        to_hidden = np.zeros(hidden.shape, kind)
        for t in turns:
            to_hidden += g_states[t]
            slopes[t] *= to_hidden
            product_of(slopes[t], weight, out=to_hidden)
        return slopes, to_hidden, _before(hidden, states, reverse)

    return call


def _elman_gradient(
    g0: Any, gates: Any, hidden: Any, weight: Any, result: Any, relu: bool, reverse: bool,
    needs: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    if not _again(g0, gates, hidden, weight):
        made, to_hidden, before = elman_sequence_backward(
            g0, hidden, weight, result, relu=relu, reverse=reverse
        )
        return _wanted((made, to_hidden, matmul_tn(made, before) if needs[2] else None), needs)
    before = _before_recorded(hidden, result, reverse)
    slopes = (result > 0).to(result.dtype) if relu else 1 - result * result
    to_hidden, rows = hidden * 0, []
    for t in _turns(gates.shape[0], not reverse):
        rows.append(slopes[t] * (to_hidden + g0[t]))
        to_hidden = rows[-1] @ weight
    made = function_of("torch.stack")(rows if reverse else rows[::-1])
    columns = made.reshape(-1, made.shape[-1])
    return _wanted((made, to_hidden, columns.t() @ before.reshape(-1, before.shape[-1])), needs)


# the gradients of gates and first state, and the hidden state before every step
elman_sequence_backward = Op(
    "elman_sequence_backward(Tensor g_states, Tensor hidden, Tensor weight, Tensor states, "
    "bool relu, bool reverse)",
    kind=OTHER,
    infer=_elman_backward_infer,
    kernel=elman_backward_kernel,
    loops=loops.elman_backward,
)

# hidden states after every step of a network with tanh or ReLU
elman_sequence = Op(
    "elman_sequence(Tensor gates, Tensor hidden, Tensor weight, bool relu, bool reverse)",
    kind=OTHER,
    infer=lambda gates, hidden, weight, relu, reverse: gates.like(),
    kernel=elman_kernel,
    loops=loops.elman,
    grad={"gates, hidden, weight": _elman_gradient},
    grad_name="Stack",
)
