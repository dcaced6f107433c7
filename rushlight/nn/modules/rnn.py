"""Recurrent layers over whole sequences: RNN, LSTM, GRU."""

from __future__ import annotations

import math
import warnings
from numbers import Number
from typing import Any

from rushlight._creation import empty
from rushlight.engine.ops.recurrent import recurrent
from rushlight.engine.trace.autocast import state as autocast
from rushlight.nn import init
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.packed import PackedSequence, lengths_of, places, tensor_of_array, unpack
from rushlight.nn.parameter import Parameter

#: How many gates' weights lie one above the other.
_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """What the recurrent layers have in common.

    Args:
        mode: ``"LSTM"``, ``"GRU"``, ``"RNN_TANH"`` or ``"RNN_RELU"``.
        input_size: size of an input.
        hidden_size: size of the state.
        num_layers: layers one above the other.
        bias: whether numbers are added.
        batch_first: (N, T, *) instead of (T, N, *).
        dropout: probability of zeroing outputs of every layer but the last, in training.
        bidirectional: also read the sequences backwards.
        proj_size: the state is projected to this size (LSTM).
    """

    __constants__ = [
        "mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout",
        "bidirectional", "proj_size",
    ]  # fmt: skip

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._check_arguments(dropout)
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse") if bidirectional else ("",):
                self._all_weights.append(self._make_weights(layer, suffix, device, dtype))
        self.reset_parameters()

    def _check_arguments(self, dropout: Any) -> None:
        if isinstance(dropout, bool) or not isinstance(dropout, Number) or not 0 <= dropout <= 1:  # type: ignore[operator]
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name, kind in (
            ("bias", bool), ("batch_first", bool), ("input_size", int), ("hidden_size", int),
        ):  # fmt: skip
            value = self.__dict__[name]
            if not isinstance(value, kind):
                raise TypeError(
                    f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
                )
        for name in ("input_size", "hidden_size", "num_layers"):
            if self.__dict__[name] <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if self.mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + self.mode)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _make_weights(self, layer: int, suffix: str, device: Any, dtype: Any) -> list[str]:
        """Register the weights of one layer in one direction; their names."""
        rows = _GATES[self.mode] * self.hidden_size
        width = self._output_size
        below = self.input_size if layer == 0 else width * self._directions
        shapes: dict[str, tuple[int, ...]] = {}
        shapes.update(weight_ih=(rows, below), weight_hh=(rows, width))
        if self.bias:
            shapes.update(bias_ih=(rows,), bias_hh=(rows,))
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        names = []
        for name, shape in shapes.items():
            names.append(f"{name}_l{layer}{suffix}")
            setattr(self, names[-1], Parameter(empty(shape, device=device, dtype=dtype)))
        return names

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Any]]:
        """The weights of every layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Nothing needs to be done: the kernels take the weights wherever they lie."""

    def reset_parameters(self) -> None:
        """Fill the parameters uniformly within ``1 / sqrt(hidden_size)``."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    # running -----------------------------------------------------------------------------------

    @property
    def _state_sizes(self) -> tuple[int, ...]:
        """The widths of the states that are carried along."""
        if self.mode == "LSTM":
            return (self._output_size, self.hidden_size)
        return (self._output_size,)

    def _run(
        self, x: Any, states: tuple[Any, ...], lengths: list[int] | None
    ) -> tuple[Any, tuple[Any, ...]]:
        """(T, N, input_size) and states (layers, N, size) to outputs and last states."""
        layers = self.all_weights
        projections = None
        if self.proj_size:
            projections = [weights[-1] for weights in layers]
            layers = [weights[:-1] for weights in layers]
        return recurrent(
            self.mode, x, states, layers, bidirectional=self.bidirectional, dropout=self.dropout,
            training=self.training, lengths=lengths, projections=projections,
        )  # fmt: skip

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Run over the sequences.

        Args:
            input: (T, N, input_size), (N, T, input_size) if ``batch_first``, (T, input_size)
                without a batch, or a ``PackedSequence``.
            hx: the first state, (layers * directions, N, size) (two of them for an LSTM); zeros
                by default.

        Returns:
            The outputs of the last layer at every step, and the last states.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            kind = type(self).__name__
            tensor = " tensor" if kind == "RNN" else ""
            raise ValueError(
                f"{kind}: Expected input to be 2D or 3D, got {input.dim()}D{tensor} instead"
            )
        batched = input.dim() == 3
        states = None if hx is None else self._batched_states(hx, batched)
        if not batched:
            input = input.unsqueeze(1)
        elif self.batch_first:
            input = input.transpose(0, 1)
        self._check_input(input, 3)
        output, last = self._run(input, self._first_states(input, input.size(1), states), None)
        if not batched:
            return output.squeeze(1), self._as_hx(tuple(state.squeeze(1) for state in last))
        return output.transpose(0, 1) if self.batch_first else output, self._as_hx(last)

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> tuple[Any, Any]:
        self._check_input(packed.data, 2)
        lengths = lengths_of(packed.batch_sizes)
        states = None if hx is None else self._as_states(hx)
        if states is not None and packed.sorted_indices is not None:
            states = tuple(state.index_select(1, packed.sorted_indices) for state in states)
        steps = int(lengths[0])
        states = self._first_states(packed.data, len(lengths), states)
        output, last = self._run(unpack(packed.data, lengths, steps), states, lengths.tolist())
        rows, _ = places(lengths, steps)
        data = output.reshape(-1, output.shape[-1]).index_select(0, tensor_of_array(rows))
        if packed.unsorted_indices is not None:
            last = tuple(state.index_select(1, packed.unsorted_indices) for state in last)
        made = PackedSequence(
            data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
        )
        return made, self._as_hx(last)

    def _as_states(self, hx: Any) -> tuple[Any, ...]:
        return tuple(hx) if self.mode == "LSTM" else (hx,)

    def _as_hx(self, states: tuple[Any, ...]) -> Any:
        return states if self.mode == "LSTM" else states[0]

    def _batched_states(self, hx: Any, batched: bool) -> tuple[Any, ...]:
        """The first states with a batch axis."""
        states = self._as_states(hx)
        wanted = 3 if batched else 2
        if any(state.dim() != wanted for state in states):
            begin = f"For {'batched 3-D' if batched else 'unbatched 2-D'} input, "
            if self.mode == "LSTM":
                sizes = ", ".join(f"{state.dim()}-D" for state in states)
                raise RuntimeError(
                    f"{begin}hx and cx should also be {wanted}-D but got ({sizes}) tensors"
                )
            raise RuntimeError(
                f"{begin}hx should also be {wanted}-D but got {states[0].dim()}-D tensor"
            )
        return states if batched else tuple(state.unsqueeze(1) for state in states)

    def _first_states(
        self, input: Any, batch: int, states: tuple[Any, ...] | None
    ) -> tuple[Any, ...]:
        """The states given, checked, or zeros."""
        rows = self.num_layers * self._directions
        shapes = [(rows, batch, size) for size in self._state_sizes]
        if states is None:
            return tuple(input.new_zeros(shape) for shape in shapes)
        for number, (state, shape) in enumerate(zip(states, shapes, strict=True)):
            if tuple(state.size()) != shape:
                which = f"hidden[{number}]" if self.mode == "LSTM" else "hidden"
                raise RuntimeError(f"Expected {which} size {shape}, got {list(state.size())}")
        return states

    def _check_input(self, input: Any, dims: int) -> None:
        weight = getattr(self, self._all_weights[0][0])
        if input.dtype != weight.dtype and not autocast.enabled:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: "
                f"model.to({input.dtype})"
            )
        if input.dim() != dims:
            raise RuntimeError(f"input must have {dims} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {input.size(-1)}"
            )

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (
            ("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False),
            ("dropout", 0), ("bidirectional", False),
        ):  # fmt: skip
            value = self.__dict__[name]
            if value != default:
                text += f", {name}={value}"
        return text


def _refuse_projection(options: dict[str, Any]) -> None:
    if "proj_size" in options:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """Layers of ``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`` (Elman).

    Args:
        input_size: size of an input.
        hidden_size: size of the state.
        num_layers: layers one above the other.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        bias, batch_first, dropout, bidirectional: see ``RNNBase``.

    See https://pytorch.org/docs/stable/generated/torch.nn.RNN.html.

    >>> import rushlight as torch
    >>> output, h = torch.nn.RNN(3, 4)(torch.zeros(5, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        if len(args) > 3:
            nonlinearity, args = args[3], args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(f"RNN_{nonlinearity.upper()}", *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Layers with long short-term memory (Hochreiter and Schmidhuber, 1997).

    Args:
        input_size: size of an input.
        hidden_size: size of the state.
        num_layers: layers one above the other.
        bias, batch_first, dropout, bidirectional, proj_size: see ``RNNBase``.

    See https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html.

    >>> import rushlight as torch
    >>> output, (h, c) = torch.nn.LSTM(3, 4, num_layers=2)(torch.zeros(5, 2, 3))
    >>> output.shape, c.shape
    (torch.Size([5, 2, 4]), torch.Size([2, 2, 4]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Layers of gated recurrent units (Cho and others, 2014); arguments as for ``LSTM``.

    See https://pytorch.org/docs/stable/generated/torch.nn.GRU.html.

    >>> import rushlight as torch
    >>> output, h = torch.nn.GRU(3, 4, bidirectional=True)(torch.zeros(5, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([5, 2, 8]), torch.Size([2, 2, 4]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)
