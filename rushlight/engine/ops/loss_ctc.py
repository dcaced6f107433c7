"""The loss of unaligned sequences: connectionist temporal classification.

See Graves et al., 2006, https://www.cs.toronto.edu/~graves/icml_2006.pdf. As in PyTorch the
gradient is that of scores whose log-softmax is given, so it may be added up over classes to zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, INTEGRAL, SCALAR_NAMES
from rushlight.engine.ir.graph import Meta, TensorBase, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec, composite, constant
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ops.blend_functions import where
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.loss import MEAN
from rushlight.engine.ops.loss_functions import reduce_loss, reduction_of

Array = np.ndarray


def check_lengths(inputs: Array, targets: Array, steps: int, labels: tuple[int, ...]) -> None:
    """PyTorch's errors for lengths that are longer than what is there."""
    if inputs.size and inputs.max() > steps:
        raise RuntimeError(
            f"Expected input_lengths to have value at most {steps}, but got value "
            f"{int(inputs.max())} (while checking arguments for ctc_loss_allocate_outputs)"
        )
    wanted, have = int(targets.max(initial=0)), labels[-1]
    if len(labels) == 1:
        wanted = int(targets.sum())
    if wanted > have or (len(labels) == 1 and wanted != have):
        least = "at least " if len(labels) == 2 else ""
        raise RuntimeError(
            f"Expected tensor to have size {least}{wanted} at dimension {len(labels) - 1}, but got "
            f"size {have} for argument #2 'targets' (while checking arguments for "
            "ctc_loss_allocate_outputs)"
        )


def _padded(targets: Array, lengths: Array) -> Array:
    """Targets given one after the other as rows."""
    if targets.ndim == 2:
        return targets
    width = int(lengths.max(initial=0))
    made = np.zeros((len(lengths), width), targets.dtype)
    inside = np.arange(width) < lengths[:, None]
    made[inside] = targets[: int(lengths.sum())]
    return made


def _extended(targets: Array, lengths: Array, blank: int) -> tuple[Array, Array, Array]:
    """Labels with blanks around them, which may be left out, and which are there at all."""
    rows, width = targets.shape
    labels = np.full((rows, 2 * width + 1), blank, np.int64)
    labels[:, 1::2] = targets
    skips = np.zeros(labels.shape, np.bool_)
    skips[:, 3::2] = targets[:, 1:] != targets[:, :-1]
    there = np.arange(2 * width + 1) <= 2 * lengths[:, None]
    return np.where(there, labels, blank), skips & there, there


def _forward(scores: Array, skips: Array, there: Array) -> Array:
    """Log probabilities (T, N, L) of all ways to each label at each step."""
    steps = scores.shape[0]
    ways = np.full(scores.shape, -np.inf, scores.dtype)
    ways[0, :, :2] = np.where(there[:, :2], scores[0, :, :2], -np.inf)
    for step in range(1, steps):
        before = ways[step - 1]
        total = before.copy()
        total[:, 1:] = np.logaddexp(total[:, 1:], before[:, :-1])
        jump = np.where(skips[:, 2:], before[:, :-2], -np.inf)
        total[:, 2:] = np.logaddexp(total[:, 2:], jump)
        ways[step] = np.where(there, total + scores[step], -np.inf)
    return ways


def _turned(array: Array, inputs: Array, lengths: Array) -> Array:
    """Every sample's own steps and labels in reverse order, (T, N, L)."""
    steps, rows, width = array.shape
    time = inputs[None, :, None] - 1 - np.arange(steps)[:, None, None]
    label = 2 * lengths[None, :, None] - np.arange(width)[None, None, :]
    row = np.arange(rows)[None, :, None]
    made: Array = array[time.clip(0), row, label.clip(0)]
    return np.where((time >= 0) & (label >= 0), made, -np.inf)


class Alignment:
    """All alignments of a batch: the loss of every sample and its gradient.

    Args:
        logs: log probabilities (T, N, C).
        targets: labels (N, S), or one after the other.
        inputs: how many steps of each sample count.
        lengths: how many labels each sample has.
        blank: the number of the blank label.
    """

    def __init__(
        self, logs: Array, targets: Array, inputs: Array, lengths: Array, blank: int
    ) -> None:
        self.logs = logs
        self.inputs = inputs
        self.lengths = lengths
        self.labels, self.skips, self.there = _extended(_padded(targets, lengths), lengths, blank)
        self.rows = np.arange(logs.shape[1])
        self.scores = logs[:, self.rows[:, None], self.labels]
        self.alpha = _forward(self.scores, self.skips, self.there)
        self.losses = self._losses()

    def _losses(self) -> Array:
        last = (self.inputs - 1).clip(0)
        ends = self.alpha[last, self.rows, 2 * self.lengths]
        before = self.alpha[last, self.rows, (2 * self.lengths - 1).clip(0)]
        total = np.where(self.lengths > 0, np.logaddexp(ends, before), ends)
        empty = np.where(self.lengths > 0, -np.inf, 0)
        found: Array = -np.where(self.inputs > 0, total, empty)
        return found + 0.0  # no negative zero

    def slope(self) -> Array:
        """The gradient of every sample's loss, (T, N, C)."""
        steps, _, classes = self.logs.shape
        scores = _turned(self.scores, self.inputs, self.lengths)
        # in reverse order a label may be left out if the one two places further on may be
        width = self.skips.shape[1]
        place = 2 * self.lengths[:, None] - np.arange(width)
        shifted = (place + 2).clip(0, width - 1)
        skips = self.skips[self.rows[:, None], shifted] & (place >= 0) & (place + 2 < width)
        beta = _turned(_forward(scores, skips, self.there), self.inputs, self.lengths)
        both = self.alpha + beta
        highest = both.max(-1, keepdims=True)
        highest = np.where(np.isfinite(highest), highest, 0)
        one_hot = self.labels[:, :, None] == np.arange(classes)
        with np.errstate(divide="ignore", invalid="ignore"):
            summed = np.log(np.exp(both - highest).swapaxes(0, 1) @ one_hot.astype(both.dtype))
            summed = summed.swapaxes(0, 1) + highest
            share = np.exp(summed + self.losses[None, :, None] - self.logs)
        made = np.exp(self.logs) - np.where(np.isneginf(summed), 0, share)
        inside = np.arange(steps)[:, None] < self.inputs
        kept: Array = np.where(inside[:, :, None], made, 0)
        return kept


def _infer(
    log_probs: Meta, targets: Meta, input_lengths: Meta, target_lengths: Meta, blank: int,
    zero_infinity: bool,
) -> tuple[Meta, Meta]:  # fmt: skip
    if log_probs.dtype.category != FLOATING:
        raise NotImplementedError(
            f"\"ctc_loss_cpu\" not implemented for '{SCALAR_NAMES[log_probs.dtype]}'"
        )
    return make_meta(log_probs.shape[1:2], log_probs.dtype), make_meta(
        tuple(log_probs.shape), log_probs.dtype
    )


def _kernel(spec: Spec, blank: int, zero_infinity: bool) -> Callable[..., tuple[Array, Array]]:
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)

    def call(logs: Array, targets: Array, inputs: Array, lengths: Array) -> tuple[Array, Array]:
        check_lengths(inputs, lengths, logs.shape[0], targets.shape)
        if not logs.size:
            return np.zeros(spec.out.shape, found), np.zeros(logs.shape, found)
        exact = logs.astype(compute, copy=False)
        with np.errstate(invalid="ignore"):
            alignment = Alignment(
                exact, targets.astype(np.int64), inputs.astype(np.int64),
                lengths.astype(np.int64), blank,
            )  # fmt: skip
            losses, slope = alignment.losses, alignment.slope()
        if zero_infinity:
            slope = np.where(np.isinf(losses)[None, :, None], 0, slope)
        return losses.astype(found), slope.astype(found)

    return call


#: The gradient of the loss; it is not differentiated again, as in PyTorch.
ctc_loss_backward = Op(
    "ctc_loss_backward(Tensor g_out, Tensor slope)",
    kind=OTHER,
    infer=lambda g_out, slope: slope,
    kernel=lambda spec: lambda g, slope: g[:, None] * slope,
)

ctc_loss_op = Op(
    "ctc_loss_(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, "
    "int blank, bool zero_infinity)",
    kind=OTHER,
    infer=_infer,
    kernel=_kernel,
    grad={"log_probs": lambda g0, result1: ctc_loss_backward(g0, result1)},
    differentiable=1,
    may_fail=True,
    grad_name="CtcLoss",
)


def _lengths(value: Any, name: str, batch: int) -> Any:
    """Lengths as a tensor (N)."""
    if not isinstance(value, TensorBase):
        value = constant(np.array(value, np.int64).reshape(-1))
    if value._value.meta.dtype.category != INTEGRAL:
        raise RuntimeError(f"{name} must be integral")
    if value._value.meta.ndim == 0:
        value = value.reshape(1)
    if tuple(value._value.meta.shape) != (batch,):
        raise RuntimeError(f"{name} must be of size batch_size")
    return value


_TARGETS = ti(2, 2, low=1, high=4)
_LOGS = t(5, 2, 4, low=-3.0, high=-0.1)


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(_LOGS, _TARGETS, (5, 4), (2, 1), numeric=False, twice=False),
        S(_LOGS, _TARGETS, ti(2, values=[5, 5]), ti(2, values=[2, 2]), 0, "sum",
          numeric=False, twice=False),
        # given one after the other and with gaps in memory PyTorch reads beside the labels
        S(_LOGS, ti(3, values=[1, 1, 3]), (5, 4), (2, 1), oracle=False, numeric=False),
        S(_LOGS, _TARGETS, (1, 5), (2, 0), 0, "none", True, numeric=False, twice=False),
        S(t(5, 4, low=-3.0, high=-0.1), ti(2, low=1, high=4), ti(values=5), ti(values=2),
          numeric=False, twice=False),
    ),
    errors=(
        ErrorSample(
            S(_LOGS, _TARGETS, (5, 6), (2, 2)),
            RuntimeError,
            "Expected input_lengths to have value at most 5, but got value 6",
        ),
        ErrorSample(
            S(_LOGS, _TARGETS, (5, 5), (2, 3)),
            RuntimeError,
            "Expected tensor to have size at least 3 at dimension 1",
        ),
        ErrorSample(
            S(_LOGS, _TARGETS, (5,), (2, 2)), RuntimeError, "input_lengths must be of size"
        ),
        ErrorSample(S(_LOGS, _TARGETS, (5, 5), (2, 2), 4), RuntimeError, "blank must be in label"),
    ),
)  # fmt: skip
def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: str = MEAN, zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """Minus the log probability of all alignments of a sequence with its labels.

    Args:
        log_probs: log probabilities of classes, (T, N, C) or (T, C).
        targets: class numbers, (N, S), or all of them one after the other, or (S).
        input_lengths: how many steps of each sample count, (N).
        target_lengths: how many labels each sample has, (N).
        blank: the number of the class that stands for no label.
        reduction: ``"mean"`` (each loss over its number of labels first), ``"sum"``, ``"none"``.
        zero_infinity: a sample that cannot be aligned costs nothing instead of infinity.

    See https://pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html.

    >>> import rushlight as torch
    >>> logs = torch.zeros(2, 1, 2).log_softmax(2)
    >>> torch.nn.functional.ctc_loss(logs, torch.tensor([[1]]), (2,), (1,))
    tensor(0.2877)
    """
    how = reduction_of(reduction)
    batched = log_probs.dim() == 3
    logs = log_probs if batched else log_probs.unsqueeze(1)
    steps, batch, classes = logs.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    inputs = _lengths(input_lengths, "input_lengths", batch)
    lengths = _lengths(target_lengths, "target_lengths", batch)
    ready = inputs._read().buffer, lengths._read().buffer
    if all(isinstance(part, np.ndarray) for part in ready):
        check_lengths(*ready, steps, tuple(targets.shape))
    losses = ctc_loss_op(
        logs, targets, inputs, lengths, blank=int(blank), zero_infinity=bool(zero_infinity)
    )[0]
    if zero_infinity:
        losses = where(losses == math.inf, losses.new_zeros(()), losses)
    if how == MEAN:
        return (losses / lengths.clamp(min=1).to(losses.dtype)).mean()
    losses = losses if batched else losses.squeeze(0)
    return reduce_loss(losses, how)
