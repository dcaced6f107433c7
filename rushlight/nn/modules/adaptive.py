"""The softmax over very many classes, most of them rare."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from rushlight.nn import functional as F
from rushlight.nn._torch import ops
from rushlight.nn.modules.container import ModuleList, Sequential
from rushlight.nn.modules.linear import Linear
from rushlight.nn.modules.module import Module

AdaptiveLoss = namedtuple("AdaptiveLoss", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """The log-softmax over classes sorted by frequency, the rare ones in clusters.

    Args:
        in_features: size of the input.
        n_classes: how many classes, the most frequent first.
        cutoffs: where a new cluster begins.
        div_value: how much smaller the projection of each cluster is than that of the one before.
        head_bias: whether the frequent classes have a bias.

    From Grave and others, Efficient softmax approximation for GPUs, 2017.

    >>> import rushlight as torch
    >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10])
    >>> layer.log_prob(torch.zeros(2, 16)).shape
    torch.Size([2, 20])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        ends = list(cutoffs)
        if not ends:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        rising = all(a < b for a, b in pairwise([0, *ends, n_classes]))
        if not rising or any(int(c) != c for c in ends):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an "
                "increasing order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*ends, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = ends[0]
        self.n_clusters = len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        options = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **options)
        self.tail = ModuleList()
        for number, (start, stop) in enumerate(pairwise(self.cutoffs)):
            hidden = int(in_features // div_value ** (number + 1))
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, **options),
                    Linear(hidden, stop - start, bias=False, **options),
                )
            )

    def reset_parameters(self) -> None:
        """Fill all parameters anew."""
        self.head.reset_parameters()
        for projection, output in self.tail:
            projection.reset_parameters()
            output.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> AdaptiveLoss:
        """Log-probabilities of the targets, and their mean as a loss.

        Args:
            input_: (N, in_features) or (in_features).
            target_: classes (N) or a 0-d one.
        """
        self._check(input_, target_)
        batched = target_.dim() > 0
        input, target = (x if batched else x.unsqueeze(0) for x in (input_, target_))
        if bool(((target < 0) | (target >= self.n_classes)).any()):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found. "
            )
        output = input.new_zeros(target.size(0))
        place = target  # where each example looks in the head's output
        for number, (start, stop) in enumerate(pairwise(self.cutoffs)):
            rows = ((target >= start) & (target < stop)).nonzero().squeeze(1)
            if rows.numel() == 0:
                continue
            place = place.index_fill(0, rows, self.shortlist_size + number)
            inside = F.log_softmax(self.tail[number](input.index_select(0, rows)), dim=1)
            wanted = (target.index_select(0, rows) - start).unsqueeze(1)
            output = output.index_copy(0, rows, inside.gather(1, wanted).squeeze(1))
        head = F.log_softmax(self.head(input), dim=1)
        output = output + head.gather(1, place.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return AdaptiveLoss(output if batched else output.squeeze(0), loss)

    @staticmethod
    def _check(input: Any, target: Any) -> None:
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if target.dim() == 1 and input.size(0) != target.size(0):
            raise RuntimeError(
                "Input and target should have the same size in the batch dimension."
            )
        if input.dim() != target.dim() + 1:
            raise RuntimeError(
                f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but "
                f"found inputs with size {input.size()}"
            )

    def log_prob(self, input: Any) -> Any:
        """Log-probabilities of all classes: (N, in_features) to (N, n_classes)."""
        head: Any = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for number, cluster in enumerate(self.tail):
            inside = F.log_softmax(cluster(input), dim=1)
            parts.append(inside + head[:, self.shortlist_size + number].unsqueeze(1))
        return ops.cat(parts, 1)

    def predict(self, input: Any) -> Any:
        """The most probable class of each example."""
        return self.log_prob(input).argmax(dim=1)
