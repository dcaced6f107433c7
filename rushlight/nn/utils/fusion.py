"""Batch norms folded into the layer before them, for evaluation."""

from __future__ import annotations

import copy
from typing import Any

from rushlight.nn.parameter import Parameter


def _folded(weight: Any, bias: Any, norm: tuple[Any, ...], axis: int) -> tuple[Any, Any]:
    mean, variance, eps, scale, shift = norm
    factor = (variance + eps).rsqrt()
    if scale is not None:
        factor = factor * scale
    shape = [1] * weight.dim()
    shape[axis] = -1
    moved = (-mean if bias is None else bias - mean) * factor
    if shift is not None:
        moved = moved + shift
    new_weight = (weight * factor.reshape(shape)).to(weight.dtype)
    new_bias = moved.to(weight.dtype if bias is None else bias.dtype)
    wanted = weight.requires_grad
    return (
        Parameter(new_weight.detach(), wanted),
        Parameter(new_bias.detach(), wanted if bias is None else bias.requires_grad),
    )


def fuse_conv_bn_weights(
    conv_w: Any, conv_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any,
    transpose: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Weight and bias of a convolution that does what convolution and batch norm did.

    Args:
        conv_w, conv_b: the convolution's.
        bn_rm, bn_rv, bn_eps, bn_w, bn_b: running mean, running variance, ``eps``, weight and bias
            of the batch norm.
        transpose: whether the convolution is a transposed one.
    """
    norm = (bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    return _folded(conv_w, conv_b, norm, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Any, Any]:
    """Weight and bias of a linear layer that does what linear layer and batch norm did."""
    return _folded(linear_w, linear_b, (bn_rm, bn_rv, bn_eps, bn_w, bn_b), 0)


def _fuse(layer: Any, bn: Any, axis: int) -> Any:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused = copy.deepcopy(layer)
    norm = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    fused.weight, fused.bias = _folded(layer.weight, layer.bias, norm, axis)
    return fused


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that does what ``conv`` and then ``bn`` do in evaluation.

    >>> import rushlight as torch
    >>> conv, bn = torch.nn.Conv2d(1, 2, 3).eval(), torch.nn.BatchNorm2d(2).eval()
    >>> fused, x = torch.nn.utils.fuse_conv_bn_eval(conv, bn), torch.ones(1, 1, 4, 4)
    >>> bool((fused(x) - bn(conv(x))).abs().max() < 1e-5)
    True
    """
    return _fuse(conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A linear layer that does what ``linear`` and then ``bn`` do in evaluation."""
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    return _fuse(linear, bn, 0)
