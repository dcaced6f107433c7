"""Sequences of different lengths in one tensor: packed, padded, and back.

Packed data is sorted by time: the first steps of all sequences, longest sequence first, then the
second steps of those that have one, and so on. ``batch_sizes`` says how many there are each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._creation import as_tensor, tensor
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import int64
from rushlight.nn._torch import ops


class _Parts(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Parts):
    """What ``pack_padded_sequence`` gives and recurrent layers take; not to be made by hand.

    See https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Any = None,
        sorted_indices: Any = None,
        unsorted_indices: Any = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same sequences with data of another type or on another device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return PackedSequence(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def cpu(self) -> PackedSequence:
        """The same sequences in the processor's memory."""
        return self.to("cpu")

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same sequences on a GPU."""
        return self.to("cuda", *args, **kwargs)

    def pin_memory(self) -> PackedSequence:
        """The same sequences in pinned memory."""
        return PackedSequence(
            self.data.pin_memory(), self.batch_sizes, self.sorted_indices, self.unsorted_indices
        )

    @property
    def is_cuda(self) -> bool:
        """Whether the data lives on a GPU."""
        return bool(self.data.is_cuda)


def _conversion(name: str) -> Callable[[PackedSequence], PackedSequence]:
    def convert(self: PackedSequence) -> PackedSequence:
        return self.to(getattr(self.data[:0], name)().dtype)

    convert.__name__ = name
    convert.__doc__ = f"The same sequences, their data converted by ``{name}()``."
    return convert


for _name in ("double", "float", "half", "long", "int", "short", "char", "byte"):
    setattr(PackedSequence, _name, _conversion(_name))


def _indices(array: np.ndarray) -> Any:
    return tensor_of_array(np.ascontiguousarray(array, dtype=np.int64))


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes ``permutation`` (``None`` for ``None``).

    >>> import rushlight as torch
    >>> torch.nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    return _indices(np.argsort(permutation.detach()._array(), kind="stable"))


def places(lengths: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a (steps * sequences) table that packed data takes, and how many at each time."""
    present = np.arange(steps)[:, None] < lengths[None, :]
    return np.flatnonzero(present), present.sum(1)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences.

    Args:
        input: (T, N, *), or (N, T, *) if ``batch_first``.
        lengths: of the sequences, a list or a tensor.
        batch_first: the order of the first two axes.
        enforce_sorted: the lengths must fall; otherwise the sequences are sorted by length.

    Raises:
        RuntimeError: a length is 0, there are too few, or they do not fall.

    >>> import rushlight as torch
    >>> rnn = torch.nn.utils.rnn
    >>> rnn.pack_padded_sequence(torch.tensor([[1, 2], [3, 0]]), [2, 1], batch_first=True).data
    tensor([1, 3, 2])
    """
    counts = as_tensor(lengths, dtype=int64).detach()._array()
    order = None
    if not enforce_sorted:
        order = np.argsort(-counts, kind="stable")
        counts = counts[order]
        input = input.index_select(0 if batch_first else 1, _indices(order))
    if batch_first:
        input = input.transpose(0, 1)
    steps, sequences = input.shape[:2]
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if len(counts) != sequences:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} "
            f"(batch_size={sequences})"
        )
    if counts.min() <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if (np.diff(counts) > 0).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if counts[0] > steps:
        raise RuntimeError(
            f"Expected all lengths to be at most {steps}, the number of steps, but got {counts[0]}"
        )
    rows, sizes = places(counts, int(counts[0]))
    flat = input.reshape(-1, *input.shape[2:])
    data = flat.index_select(0, _indices(rows))
    return PackedSequence(data, _indices(sizes), None if order is None else _indices(order), None)


def lengths_of(batch_sizes: Any) -> np.ndarray:
    """The lengths of the sequences, longest first, from the number present at each time."""
    sizes = batch_sizes.detach()._array()
    return (sizes[:, None] > np.arange(sizes[0])[None, :]).sum(0)


def unpack(data: Any, lengths: np.ndarray, steps: int, padding_value: float = 0.0) -> Any:
    """Packed ``data`` as (steps, sequences, *)."""
    rows, _ = places(lengths, steps)
    source = np.full(steps * len(lengths), len(rows))  # the padding stands behind the data
    source[rows] = np.arange(len(rows))
    padding = data.new_full((1, *data.shape[1:]), padding_value)
    flat = ops.cat([data, padding]).index_select(0, _indices(source))
    return flat.reshape(steps, len(lengths), *data.shape[1:])


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:
    """Undo ``pack_padded_sequence``: the padded sequences and their lengths.

    Args:
        sequence: the packed sequences.
        batch_first: the order of the first two axes.
        padding_value: what stands behind the end of a sequence.
        total_length: pad to this length instead of that of the longest sequence.

    >>> import rushlight as torch
    >>> rnn = torch.nn.utils.rnn
    >>> packed = rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])
    >>> rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2],
            [3, 0]]), tensor([2, 1]))
    """
    lengths = lengths_of(sequence.batch_sizes)
    steps = int(lengths[0])
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, "
                f"but got total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    padded = unpack(sequence.data, lengths, steps, padding_value)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.detach()._array()]
    return padded.transpose(0, 1) if batch_first else padded, _indices(lengths)


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Stack sequences (L_i, *) of different lengths, padded to the longest.

    Args:
        sequences: the tensors.
        batch_first: (N, T, *) instead of (T, N, *).
        padding_value: what stands behind the end of a sequence.
        padding_side: ``"right"`` (behind) or ``"left"`` (before).

    >>> import rushlight as torch
    >>> sequences = [torch.tensor([1.0, 2.0]), torch.tensor([3.0])]
    >>> torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    tensor([[1., 2.],
            [3., 0.]])
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    listed = list(sequences)
    if not listed:
        raise RuntimeError("received an empty list of sequences")
    longest = max(x.shape[0] for x in listed)
    padded = []
    for x in listed:
        missing = longest - x.shape[0]
        if missing:
            filler = x.new_full((missing, *x.shape[1:]), padding_value)
            x = ops.cat([x, filler] if padding_side == "right" else [filler, x])
        padded.append(x)
    return ops.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences in a padded tensor, each with its own length.

    >>> import rushlight as torch
    >>> padded = torch.tensor([[1, 2], [3, 0]])
    >>> torch.nn.utils.rnn.unpad_sequence(padded, torch.tensor([2, 1]), batch_first=True)
    [tensor([1, 2]), tensor([3])]
    """
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    counts = lengths.tolist() if isinstance(lengths, Tensor) else lengths
    return [x[:count] for x, count in zip(padded_sequences, counts, strict=True)]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack tensors (L_i, *) of different lengths.

    >>> import rushlight as torch
    >>> torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])]).batch_sizes
    tensor([2, 1])
    """
    lengths = tensor([x.size(0) for x in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The tensors that ``pack_sequence`` packed.

    >>> import rushlight as torch
    >>> rnn = torch.nn.utils.rnn
    >>> rnn.unpack_sequence(rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])]))
    [tensor([1, 2]), tensor([3])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
