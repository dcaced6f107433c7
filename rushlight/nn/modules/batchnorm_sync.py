"""Batch normalisation over the batches of several processes."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight.autograd.function import Function
from rushlight.autograd.grad_mode import no_grad
from rushlight.nn.modules.batchnorm import _BatchNorm


def _group(chosen: Any) -> Any:
    """The group whose batches count, ``None`` where there is a single process."""
    # who has not imported it has no group; most programs never need it
    if "rushlight.distributed" not in sys.modules:
        return None
    distributed = import_module("rushlight.distributed")
    if not distributed.is_initialized():
        return None
    group = distributed.group.WORLD if chosen is None else chosen
    return group if distributed.get_world_size(group) > 1 else None


def _statistics(x: Any, group: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean and squared deviations from it, of each channel over all ranks, and how many values.

    The ranks' own are put together as Chan, Golub and LeVeque, Updating formulae, 1979, do.
    """
    distributed = import_module("rushlight.distributed")
    channels, count = x.shape[1], x.numel() // x.shape[1]
    own = np.zeros(2 * channels + 1)
    if count:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        mean = x.mean(axes, keepdim=True)
        deviations = ((x - mean) ** 2).sum(axes)
        own[:channels] = mean.reshape(-1).detach().numpy(force=True)
        own[channels:-1] = deviations.detach().numpy(force=True)
        own[-1] = count
    size = distributed.get_world_size(group)
    every = tensor_of_array(np.empty((size, own.size)))
    distributed.all_gather_into_tensor(every, tensor_of_array(own), group)
    rows = every.numpy()
    counts, means, squares = rows[:, -1:], rows[:, :channels], rows[:, channels:-1]
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    return mean, (squares + counts * (means - mean) ** 2).sum(0), int(total)


def _as_channels(array: np.ndarray, like: Any) -> Any:
    """A number for each channel, shaped to be broadcast over ``like``."""
    shape = [1, -1, *[1] * (like.dim() - 2)]
    return tensor_of_array(array.astype(np.float64)).to(like.dtype).reshape(shape)


class _Normalize(Function):
    """Normalises with the statistics of all ranks; its gradient needs all ranks too."""

    @staticmethod
    def forward(
        ctx: Any, input: Any, weight: Any, bias: Any, mean: Any, scale: Any, total: int, group: Any
    ) -> Any:
        """Subtract the mean, multiply by ``scale`` (1 / deviation), then the affine part."""
        ctx.save_for_backward(input, weight, mean, scale)
        ctx.total, ctx.group = total, group
        shape = mean.shape
        made = (input.to(mean.dtype) - mean) * scale
        if weight is not None:
            made = made * weight.reshape(shape)
        if bias is not None:
            made = made + bias.reshape(shape)
        return made.to(input.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        """The gradients of input, weight and bias; those of the last two are this rank's part."""
        distributed = import_module("rushlight.distributed")
        input, weight, mean, scale = ctx.saved_tensors
        gradient = gradient.to(mean.dtype)
        shape, axes = mean.shape, [axis for axis in range(input.dim()) if axis != 1]
        centred = input.to(mean.dtype) - mean
        own_sum, own_product = gradient.sum(axes), (gradient * centred).sum(axes)
        grad_weight = own_product * scale.reshape(-1) if ctx.needs_input_grad[1] else None
        grad_bias = own_sum if ctx.needs_input_grad[2] else None
        sums = own_sum.clone(), own_product.clone()
        distributed.all_reduce_coalesced(sums, group=ctx.group)
        mean_sum, mean_product = (x.reshape(shape) / ctx.total for x in sums)
        grad_input = (gradient - mean_sum - centred * scale * scale * mean_product) * scale
        if weight is not None:
            grad_input = grad_input * weight.reshape(shape)
        grad_input = grad_input.to(input.dtype)
        return grad_input, grad_weight, grad_bias, None, None, None, None


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all processes of a group.

    In a single process, and in evaluation, it is ``BatchNorm``. Every rank has to come to the same
    layers in the same order.

    Args:
        num_features, eps, momentum, affine, track_running_stats, bias: as for ``BatchNorm1d``.
        process_group: the ranks whose batches count, all by default.

    See https://pytorch.org/docs/stable/generated/torch.nn.SyncBatchNorm.html.

    >>> import rushlight as torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    >>> torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)[1]
    SyncBatchNorm(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Any) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
        if input.size(1) == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    def forward(self, input: Any) -> Any:
        """Normalise with the statistics of all ranks' batches."""
        group = _group(self.process_group) if self.training else None
        if group is None:
            return super().forward(input)
        self._check_input_dim(input)
        mean, squares, total = _statistics(input, group)
        if total == 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {total}"
            )
        variance = squares / total
        self._track(mean, squares / max(total - 1, 1))
        like = input if input.dtype.itemsize >= 4 else input.float()
        return _Normalize.apply(
            input, self.weight, self.bias, _as_channels(mean, like),
            _as_channels(1 / np.sqrt(variance + self.eps), like), total, group,
        )  # fmt: skip

    def _track(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Let the running statistics follow."""
        if not self.track_running_stats or self.running_mean is None:
            return
        factor = self.momentum
        with no_grad():
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
                if factor is None:  # the plain mean over all batches
                    factor = 1.0 / float(self.num_batches_tracked)
            for running, found in ((self.running_mean, mean), (self.running_var, variance)):
                new = tensor_of_array(found.astype(np.float64)).to(running.dtype)
                running.mul_(1 - float(factor or 0)).add_(new * float(factor or 0))

    @classmethod
    def convert_sync_batchnorm(cls, module: Any, process_group: Any = None) -> Any:
        """``module`` with every batch norm in it replaced by this one.

        Args:
            module: a model; the new layers share its parameters and statistics.
            process_group: the ranks whose batches count, all by default.
        """
        made = module
        if isinstance(module, _BatchNorm):
            made = SyncBatchNorm(
                module.num_features, module.eps, module.momentum, module.affine,
                module.track_running_stats, process_group, bias=module.bias is not None,
            )  # fmt: skip
            if module.affine:
                with no_grad():
                    made.weight, made.bias = module.weight, module.bias
            made.running_mean, made.running_var = module.running_mean, module.running_var
            made.num_batches_tracked = module.num_batches_tracked
            made.training = module.training
        for name, child in module.named_children():
            made.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return made
