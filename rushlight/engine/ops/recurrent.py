"""Recurrent layers, one step and whole sequences, written with other operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.engine.core.dtype import float32, float64
from rushlight.engine.ir.op import composite, function_of
from rushlight.engine.ir.samples import ErrorSample, S, t
from rushlight.engine.ops.recurrent_sequence import (
    elman_sequence,
    gru_sequence,
    lstm_sequence,
)

_T = ("torch",)


def _gates(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    linear = function_of("nn.functional.linear")
    return linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)


def _check_cell(
    input: Any, states: Sequence[Any], w_ih: Any, hidden: int, gates: int
) -> None:
    """PyTorch's errors for sizes that do not go together."""
    if w_ih.size(0) != gates * hidden:
        factor = f"{gates} * " if gates > 1 else ""
        raise RuntimeError(
            f"weight_ih first dim must be {factor}hidden_size = {gates * hidden}, but got "
            f"{w_ih.size(0)}"
        )
    if input.size(1) != w_ih.size(1):
        raise RuntimeError(
            f"input has inconsistent input_size: got {input.size(1)} expected {w_ih.size(1)}"
        )
    for number, state in enumerate(states):
        if input.size(0) != state.size(0):
            raise RuntimeError(
                f"Input batch size {input.size(0)} doesn't match hidden{number} batch size "
                f"{state.size(0)}"
            )
        if state.size(1) != hidden:
            raise RuntimeError(
                f"hidden{number} has inconsistent hidden_size: got {state.size(1)}, expected "
                f"{hidden}"
            )


def _cell_errors(gates: int, several: bool = False) -> tuple[ErrorSample, ...]:
    def hx(*shape: int) -> Any:
        return [t(*shape), t(*shape)] if several else t(*shape)

    w_ih, w_hh = t(4 * gates, 3), t(4 * gates, 4)
    return (
        ErrorSample(
            S(t(2, 5), hx(2, 4), w_ih, w_hh),
            RuntimeError,
            "input has inconsistent input_size: got 5 expected 3",
        ),
        ErrorSample(
            S(t(2, 3), hx(3, 4), w_ih, w_hh),
            RuntimeError,
            "Input batch size 2 doesn't match hidden0 batch size 3",
        ),
        ErrorSample(
            S(t(2, 3), hx(2, 5), w_ih, w_hh),
            RuntimeError,
            "hidden0 has inconsistent hidden_size: got 5, expected 4",
        ),
    )


_ELMAN = (
    S(t(2, 3), t(2, 4), t(4, 3), t(4, 4), t(4), t(4)),
    S(t(2, 3), t(2, 4), t(4, 3), t(4, 4)),
)


@composite(namespaces=_T, samples=_ELMAN, errors=_cell_errors(1))
def rnn_tanh_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """One step of an Elman network with tanh.

    Args:
        input: (N, I).
        hx: the hidden state, (N, H).
        w_ih, w_hh: (H, I) and (H, H).
        b_ih, b_hh: (H).

    >>> import rushlight as torch
    >>> zero = torch.zeros(1, 1)
    >>> torch.rnn_tanh_cell(zero, zero, zero, zero)
    tensor([[0.]])
    """
    _check_cell(input, (hx,), w_ih, w_hh.size(1), 1)
    return _gates(input, hx, w_ih, w_hh, b_ih, b_hh).tanh()


@composite(namespaces=_T, samples=_ELMAN, errors=_cell_errors(1))
def rnn_relu_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """One step of an Elman network with ReLU; arguments as for ``rnn_tanh_cell``.

    >>> import rushlight as torch
    >>> one = torch.ones(1, 1)
    >>> torch.rnn_relu_cell(one, one, one, one)
    tensor([[2.]])
    """
    _check_cell(input, (hx,), w_ih, w_hh.size(1), 1)
    return _gates(input, hx, w_ih, w_hh, b_ih, b_hh).relu()


@composite(
    namespaces=_T,
    samples=(S(t(2, 3), [t(2, 4), t(2, 4)], t(16, 3), t(16, 4), t(16), t(16)),),
    errors=(
        *_cell_errors(4, True),
        ErrorSample(
            S(t(2, 3), [t(2, 4)], t(16, 3), t(16, 4)),
            RuntimeError,
            "lstm_cell expects two hidden states",
        ),
    ),
)
def lstm_cell(
    input: Any, hx: Sequence[Any], w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """One step of an LSTM; see Hochreiter and Schmidhuber, 1997.

    Args:
        input: (N, I).
        hx: the hidden state and the cell state, (N, H) each.
        w_ih, w_hh: (4 H, I) and (4 H, H): input, forget, cell and output gates.
        b_ih, b_hh: (4 H).

    Returns:
        The new hidden state and the new cell state.

    >>> import rushlight as torch
    >>> zero, w = torch.zeros(1, 1), torch.zeros(4, 1)
    >>> torch.lstm_cell(zero, (zero, torch.ones(1, 1)), w, w)[1]
    tensor([[0.5000]])
    """
    if len(hx) != 2:
        raise RuntimeError("lstm_cell expects two hidden states")
    hidden, cell = hx
    _check_cell(input, hx, w_ih, w_hh.size(1), 4)
    i, f, g, o = _gates(input, hidden, w_ih, w_hh, b_ih, b_hh).chunk(4, -1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


@composite(
    namespaces=_T,
    samples=(S(t(2, 3), t(2, 4), t(12, 3), t(12, 4), t(12), t(12)),),
    errors=_cell_errors(3),
)
def gru_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """One step of a GRU; see Cho et al., 2014, https://arxiv.org/abs/1406.1078.

    Args:
        input: (N, I).
        hx: the hidden state, (N, H).
        w_ih, w_hh: (3 H, I) and (3 H, H): reset, update and new gates.
        b_ih, b_hh: (3 H).

    >>> import rushlight as torch
    >>> one, w = torch.ones(1, 1), torch.zeros(3, 1)
    >>> torch.gru_cell(one, one, w, w)
    tensor([[0.5000]])
    """
    _check_cell(input, (hx,), w_ih, w_hh.size(1), 3)
    linear = function_of("nn.functional.linear")
    xr, xz, xn = linear(input, w_ih, b_ih).chunk(3, -1)
    hr, hz, hn = linear(hx, w_hh, b_hh).chunk(3, -1)
    reset, update = (xr + hr).sigmoid(), (xz + hz).sigmoid()
    new = (xn + reset * hn).tanh()
    return (hx - new) * update + new


def _step(kind: str) -> Callable[..., Any]:
    """One step from the input's share of the gates, which is computed for all steps at once."""
    linear = function_of("nn.functional.linear")

    def lstm(gates: Any, state: Any, w_hh: Any, b_hh: Any) -> Any:
        hidden, cell = state
        i, f, g, o = (gates + linear(hidden, w_hh, b_hh)).chunk(4, -1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return (o.sigmoid() * cell.tanh(), cell)

    def gru(gates: Any, state: Any, w_hh: Any, b_hh: Any) -> Any:
        (hidden,) = state
        xr, xz, xn = gates.chunk(3, -1)
        hr, hz, hn = linear(hidden, w_hh, b_hh).chunk(3, -1)
        reset, update = (xr + hr).sigmoid(), (xz + hz).sigmoid()
        new = (xn + reset * hn).tanh()
        return ((hidden - new) * update + new,)

    def tanh(gates: Any, state: Any, w_hh: Any, b_hh: Any) -> Any:
        return ((gates + linear(state[0], w_hh, b_hh)).tanh(),)

    def relu(gates: Any, state: Any, w_hh: Any, b_hh: Any) -> Any:
        return ((gates + linear(state[0], w_hh, b_hh)).relu(),)

    return {"LSTM": lstm, "GRU": gru, "RNN_TANH": tanh, "RNN_RELU": relu}[kind]


def _whole(x: Any, state: tuple[Any, ...], weights: Sequence[Any]) -> bool:
    """Whether one operator can do all steps: parts of one floating-point type that fit."""
    w_ih, w_hh = weights[:2]
    if x.dtype not in (float32, float64) or not x.numel() or w_hh.dim() != 2:
        return False
    rows, size = w_hh.shape
    fits = tuple(w_ih.shape) == (rows, x.shape[2]) and all(b.shape == (rows,) for b in weights[2:])
    fits = fits and all(tuple(s.shape) == (x.shape[1], size) for s in state)
    return fits and all(part.dtype is x.dtype for part in (*state, *weights))


def _sequence(
    x: Any, state: tuple[Any, ...], weights: Sequence[Any], kind: str, reverse: bool
) -> tuple[Any, tuple[Any, ...]]:
    """All steps of one layer in one direction."""
    w_ih, w_hh, *biases = weights
    linear, last = function_of("nn.functional.linear"), 0 if reverse else -1
    if kind == "GRU":
        b_ih, b_hh = biases or (None, None)
        y = gru_sequence(linear(x, w_ih, b_ih), *state, w_hh, b_hh, reverse=reverse)[0]
        return y, (y[last],)
    gates = linear(x, w_ih, biases[0] + biases[1] if biases else None)
    if kind == "LSTM":
        y, cells, _ = lstm_sequence(gates, *state, w_hh, reverse=reverse)
        return y, (y[last], cells[last])
    y = elman_sequence(gates, *state, w_hh, relu=kind == "RNN_RELU", reverse=reverse)
    return y, (y[last],)


def _direction(
    x: Any, state: tuple[Any, ...], weights: Sequence[Any], kind: str, reverse: bool,
    lengths: Sequence[int] | None, projection: Any = None,
) -> tuple[Any, tuple[Any, ...]]:  # fmt: skip
    """One layer in one direction over (T, N, I); ``lengths`` fall from the longest sample on."""
    if lengths is None and projection is None and _whole(x, state, weights):
        return _sequence(x, state, weights, kind, reverse)
    w_ih, w_hh, *biases = weights
    b_ih, b_hh = biases if biases else (None, None)
    gates = function_of("nn.functional.linear")(x, w_ih, b_ih)
    step = _step(kind)
    outputs: list[Any] = []
    steps = range(x.shape[0])
    for time in reversed(steps) if reverse else steps:
        active = None if lengths is None else sum(1 for n in lengths if n > time)
        now = gates[time]
        if active is None or active == x.shape[1]:
            state = step(now, state, w_hh, b_hh)
            if projection is not None:
                state = (function_of("nn.functional.linear")(state[0], projection), *state[1:])
            outputs.append(state[0])
            continue
        part = step(now[:active], tuple(s[:active] for s in state), w_hh, b_hh)
        if projection is not None:
            part = (function_of("nn.functional.linear")(part[0], projection), *part[1:])
        cat = function_of("torch.cat")
        state = tuple(cat([p, s[active:]]) for p, s in zip(part, state, strict=True))
        pad = part[0].new_zeros((x.shape[1] - active, part[0].shape[1]))
        outputs.append(cat([part[0], pad]))
    if reverse:
        outputs.reverse()
    return function_of("torch.stack")(outputs), state


def recurrent(
    kind: str, x: Any, states: Sequence[Any], layers: Sequence[Sequence[Any]], *,
    bidirectional: bool, dropout: float, training: bool, lengths: Sequence[int] | None = None,
    projections: Sequence[Any] | None = None,
) -> tuple[Any, tuple[Any, ...]]:  # fmt: skip
    """Stacked layers over a sequence.

    Args:
        kind: ``"LSTM"``, ``"GRU"``, ``"RNN_TANH"`` or ``"RNN_RELU"``.
        x: (T, N, I).
        states: hidden state (L * D, N, H), and the cell state for an LSTM.
        layers: weights of every layer and direction, as ``torch.nn`` orders them.
        bidirectional: two directions.
        dropout: probability of zeroing outputs of every layer but the last, in training.
        training: whether dropout is active.
        lengths: lengths of the samples, longest first, where they differ.
        projections: weights that project the hidden state (LSTM with ``proj_size``).

    Returns:
        Outputs (T, N, D * H) and the final states, stacked as ``states`` are.
    """
    ways = 2 if bidirectional else 1
    cat, stack = function_of("torch.cat"), function_of("torch.stack")
    finals: list[tuple[Any, ...]] = []
    for layer in range(len(layers) // ways):
        made = []
        for way in range(ways):
            place = layer * ways + way
            start = tuple(s[place] for s in states)
            projection = None if projections is None else projections[place]
            y, final = _direction(x, start, layers[place], kind, way == 1, lengths, projection)
            made.append(y)
            finals.append(final)
        x = made[0] if ways == 1 else cat(made, 2)
        if dropout and training and layer + 1 < len(layers) // ways:
            x = function_of("nn.functional.dropout")(x, dropout, True)
    return x, tuple(stack([f[k] for f in finals]) for k in range(len(states)))
