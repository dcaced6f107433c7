"""Sequences of different lengths: packing, padding, and recurrent layers over them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.nn.both import compare


def sequences(torch: Any) -> list[Any]:
    return [torch.arange(n * 2, dtype=torch.float32).reshape(n, 2) + 10 * n for n in (2, 4, 1)]


def packing(torch: Any) -> Any:
    rnn = torch.nn.utils.rnn
    packed = rnn.pack_sequence(sequences(torch), enforce_sorted=False)
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=-1.0)
    longer, _ = rnn.pad_packed_sequence(packed, total_length=6)
    return list(packed), padded, lengths, longer, rnn.unpack_sequence(packed)


def sorted_packing(torch: Any) -> Any:
    rnn = torch.nn.utils.rnn
    x = torch.arange(12.0).reshape(2, 3, 2)
    return rnn.pack_padded_sequence(x, torch.tensor([3, 2]), batch_first=True)


def padding(torch: Any) -> Any:
    rnn = torch.nn.utils.rnn
    given = sequences(torch)
    padded = rnn.pad_sequence(given, batch_first=True)
    return (
        padded,
        rnn.pad_sequence(given, padding_value=9.0),
        rnn.pad_sequence(given, padding_side="left"),
        rnn.unpad_sequence(padded, torch.tensor([2, 4, 1]), batch_first=True),
    )


def through_packing(torch: Any) -> Any:
    """Gradients find their way through packing and padding."""
    rnn = torch.nn.utils.rnn
    x = torch.ones(3, 2, 2, requires_grad=True)
    packed = rnn.pack_padded_sequence(x, [3, 1])
    padded, _ = rnn.pad_packed_sequence(packed)
    (padded * torch.arange(12.0).reshape(3, 2, 2)).sum().backward()
    return x.grad


@pytest.mark.parametrize(
    "program", [packing, sorted_packing, padding, through_packing], ids=lambda p: p.__name__
)
def test_agrees_with_pytorch(program: Any) -> None:
    compare(program)


@pytest.mark.parametrize(
    "layer",
    [
        "RNN(2, 3)", "LSTM(2, 3, num_layers=2, bidirectional=True)", "GRU(2, 3, bias=False)",
        "LSTM(2, 4, proj_size=3, bidirectional=True)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("given_state", [False, True])
def test_recurrent_layers(layer: str, given_state: bool) -> None:
    def run(torch: Any) -> Any:
        module = eval("nn." + layer, {"nn": torch.nn})
        packed = torch.nn.utils.rnn.pack_sequence(sequences(torch), enforce_sorted=False)
        state = None
        if given_state:
            rows = module.num_layers * (2 if module.bidirectional else 1)
            state = torch.ones(rows, 3, module.proj_size or module.hidden_size)
            if module.mode == "LSTM":
                state = (state, torch.ones(rows, 3, module.hidden_size) / 2)
        output, last = module(packed, state)
        output.data.sum().backward()
        return list(output), last, [p.grad for p in module.parameters()]

    compare(run)


ERRORS = {
    "not sorted": lambda torch, rnn: rnn.pack_padded_sequence(torch.ones(3, 2), [1, 3]),
    "length 0": lambda torch, rnn: rnn.pack_padded_sequence(torch.ones(3, 2), [1, 0]),
    "too short": lambda torch, rnn: rnn.pad_packed_sequence(
        rnn.pack_sequence([torch.ones(3)]), total_length=2
    ),
    "no sequences": lambda torch, rnn: rnn.pad_sequence(3),
    "side": lambda torch, rnn: rnn.pad_sequence([torch.ones(1)], padding_side="top"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    compare(lambda torch: ERRORS[name](torch, torch.nn.utils.rnn), raises=True)
