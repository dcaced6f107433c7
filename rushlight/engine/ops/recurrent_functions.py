"""PyTorch's functions of whole recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite, function_of
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ops.recurrent import recurrent


def _layers(params: Sequence[Any], has_biases: bool, projected: bool) -> list[Sequence[Any]]:
    """The weights of every layer and direction."""
    step = (4 if has_biases else 2) + (1 if projected else 0)
    if len(params) % step:
        raise RuntimeError(
            f"MatrixRef: ArrayRef size {len(params)} not divisible by stride {step}"
        )
    return [params[i : i + step] for i in range(0, len(params), step)]


def _padded(data: Any, batch_sizes: Any) -> tuple[Any, list[int], list[int]]:
    """Packed steps as (T, N, I), the lengths of the samples and the sizes of the steps."""
    sizes = batch_sizes.tolist()
    rows, start = [], 0
    pad = function_of("nn.functional.pad")
    for size in sizes:
        rows.append(pad(data[start : start + size], (0, 0, 0, sizes[0] - size)))
        start += size
    lengths = [sum(1 for size in sizes if size > row) for row in range(sizes[0])]
    return function_of("torch.stack")(rows), lengths, sizes


def _packed(y: Any, sizes: Sequence[int]) -> Any:
    cat = function_of("torch.cat")
    return cat([y[step, :size] for step, size in enumerate(sizes)])


def _run(kind: str, arguments: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Both forms: of a padded batch, and of packed data with the sizes of its steps."""
    several = kind == "LSTM"
    packed = isinstance(arguments[1], TensorBase) and (
        several or isinstance(arguments[2], TensorBase)
    )
    lengths: list[int] | None = None
    sizes: list[int] = []
    if packed:
        data, batch_sizes, hx, params, biases, _, dropout, train, bidirectional = arguments
        x, lengths, sizes = _padded(data, batch_sizes)
        first = False
    else:
        x, hx, params, biases, _, dropout, train, bidirectional, first = arguments
        x = x.transpose(0, 1) if first else x
    states = tuple(hx) if several else (hx,)
    if several and len(states) != 2:
        raise RuntimeError("lstm expects two hidden states")
    projected = several and states[0].shape[2] != states[1].shape[2]
    layers = _layers(params, biases, projected)
    if states[0].shape[0] < len(layers):
        raise RuntimeError("Expected more hidden states in stacked_rnn")
    projections = [layer[-1] for layer in layers] if projected else None
    y, finals = recurrent(
        kind, x, states, [layer[:-1] for layer in layers] if projected else layers,
        bidirectional=bidirectional, dropout=dropout, training=train, lengths=lengths,
        projections=projections,
    )  # fmt: skip
    if packed:
        return _packed(y, sizes), finals
    return (y.transpose(0, 1) if first else y), finals


def _weights(gates: int, layers: int = 1) -> list[Any]:
    shapes: list[tuple[int, ...]] = []
    for layer in range(layers):
        shapes += [(4 * gates, 4 if layer else 3), (4 * gates, 4), (4 * gates,), (4 * gates,)]
    return [t(*shape, low=-0.7, high=0.7) for shape in shapes]


_SEQUENCE, _STATE = t(5, 2, 3), t(1, 2, 4)
_END = (True, 1, 0.0, False, False, False)


def _make_plain(name: str, kind: str, gates: int) -> None:
    def layer(*arguments: Any) -> tuple[Any, Any]:
        y, (state,) = _run(kind, arguments)
        return y, state

    layer.__doc__ = f"""Layers of ``nn.{kind.split("_")[0]}`` over sequences.

    Called with ``(input, hx, params, has_biases, num_layers, dropout, train, bidirectional,
    batch_first)``, or, for packed sequences, with ``(data, batch_sizes, hx, params, has_biases,
    num_layers, dropout, train, bidirectional)``.

    >>> import rushlight as torch
    >>> x, h, w = torch.ones(2, 1, 1), torch.zeros(1, 1, 1), torch.zeros({gates}, 1)
    >>> torch.{name}(x, h, [w, w], False, 1, 0.0, False, False, False)[0].shape
    torch.Size([2, 1, 1])
    """
    both = [*_weights(gates), *_weights(gates)]
    samples = (
        S(_SEQUENCE, _STATE, _weights(gates), *_END, tolerance=4),
        S(t(2, 5, 3), t(2, 2, 4), both, True, 1, 0.0, False, True, True, tolerance=4),
        S(_SEQUENCE, t(2, 2, 4), _weights(gates, 2), True, 2, 0.0, False, False, False),
        S(t(7, 3), ti(5, values=[2, 2, 1, 1, 1]), _STATE, _weights(gates), True, 1, 0.0, False,
          False),
    )  # fmt: skip
    errors = (
        ErrorSample(
            S(_SEQUENCE, _STATE, _weights(gates)[:3], *_END),
            RuntimeError,
            "divisible by|incorrect number of",
        ),
    )
    composite(name=name, samples=samples, errors=errors)(layer)


_make_plain("gru", "GRU", 3)
_make_plain("rnn_tanh", "RNN_TANH", 1)
_make_plain("rnn_relu", "RNN_RELU", 1)


@composite(
    samples=(
        S(_SEQUENCE, [_STATE, _STATE], _weights(4), *_END, tolerance=4),
        S(_SEQUENCE, [_STATE, _STATE], _weights(4)[:2], False, 1, 0.0, False, False, False,
          tolerance=4),
        S(t(7, 3), ti(5, values=[2, 2, 1, 1, 1]), [_STATE, _STATE], _weights(4), True, 1, 0.0,
          False, False),
    ),
    errors=(
        ErrorSample(
            S(_SEQUENCE, [_STATE], _weights(4), *_END), RuntimeError, "expects two hidden states"
        ),
    ),
)  # fmt: skip
def lstm(*arguments: Any) -> tuple[Any, Any, Any]:
    """Layers of ``nn.LSTM`` over sequences.

    Called with ``(input, hx, params, has_biases, num_layers, dropout, train, bidirectional,
    batch_first)``, or, for packed sequences, with ``(data, batch_sizes, hx, params, has_biases,
    num_layers, dropout, train, bidirectional)``; ``hx`` is the pair of hidden and cell states.

    >>> import rushlight as torch
    >>> x, h, w = torch.ones(2, 1, 1), torch.zeros(1, 1, 1), torch.zeros(4, 1)
    >>> torch.lstm(x, (h, h), [w, w], False, 1, 0.0, False, False, False)[0].shape
    torch.Size([2, 1, 1])
    """
    y, (hidden, cell) = _run("LSTM", arguments)
    return y, hidden, cell
