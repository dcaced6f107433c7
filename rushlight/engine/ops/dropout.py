"""Dropout, and the softmax with Gumbel noise."""

from __future__ import annotations

import warnings
from typing import Any

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ops.random import dropout_factors, exponential_noise

_F = ("nn.functional",)
_RANGE = "dropout probability has to be between 0 and 1, but got"


def _check(p: float, error: type[Exception] = ValueError) -> None:
    if p < 0.0 or p > 1.0:
        raise error(f"{_RANGE} {p}")


def _refuse_integers(input: Any) -> None:
    if input.dtype.category < FLOATING:
        raise RuntimeError(
            "result type Float can't be cast to the desired output type "
            f"{SCALAR_NAMES[input.dtype]}"
        )


def _drop(input: Any, p: float, training: bool, inplace: bool, shape: Shape) -> Any:
    if not training or p == 0 or input._value.meta.numel == 0:
        return input
    if input._value.meta.dtype.category < FLOATING:
        _refuse_integers(input)
    factors = dropout_factors(input, shape, p) if p < 1 else input.new_zeros(())
    return input.mul_(factors) if inplace else input * factors


def _features(input: Any) -> Shape:
    """One number per sample and channel."""
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return (*input.shape[:2], *(1,) * (input.dim() - 2))


_PROBABILITY = ErrorSample(S(t(3), 1.5), ValueError, f"{_RANGE} 1.5")


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), 0.0),
        S(t(3, 4), 0.3, False),
        S(t(3, 4), 1.0),
        S(t(5, 7), 0.4),
        S(t(3, 40), 0.5),
    ),
    errors=(
        _PROBABILITY,
        ErrorSample(S(ti(3)), RuntimeError, "can't be cast to the desired output type Long"),
    ),
)
def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero elements with probability ``p`` in training and scale the others by 1 / (1 - p).

    See Hinton et al., 2012, https://arxiv.org/abs/1207.0580.

    Args:
        input: any floating-point tensor.
        p: the probability of a zero.
        training: whether to do anything.
        inplace: write the result into ``input``.

    >>> import rushlight as torch
    >>> torch.nn.functional.dropout(torch.ones(2), 0.5, training=False)
    tensor([1., 1.])
    """
    _check(p)
    return _drop(input, p, training, inplace, input._value.meta.shape)


@composite(
    namespaces=_F,
    samples=(S(t(2, 3, 4), 0.3, False), S(t(2, 3, 4), 0.4), S(t(3, 4), 0.4)),
    errors=(
        _PROBABILITY,
        ErrorSample(S(t(2, 3, 4, 4)), RuntimeError, "dropout1d: Expected 2D or 3D input, but"),
    ),
)
def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """``dropout`` of whole channels of signals (N, C, L) or (C, L).

    >>> import rushlight as torch
    >>> torch.nn.functional.dropout1d(torch.ones(1, 2, 2), 0.5, training=False).shape
    torch.Size([1, 2, 2])
    """
    _check(p)
    rank = input.dim()
    if rank not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {rank}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    x = input if rank == 3 else input.unsqueeze_(0) if inplace else input.unsqueeze(0)
    y = _drop(x, p, training, inplace, _features(x) if training else ())
    return y if rank == 3 else y.squeeze_(0) if inplace else y.squeeze(0)


@composite(
    namespaces=_F,
    samples=(S(t(2, 3, 4, 2), 0.3, False), S(t(2, 3, 4, 2), 0.4), S(t(2, 3, 4), 0.4)),
    errors=(_PROBABILITY,),
)
def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """``dropout`` of whole channels of images (N, C, H, W).

    >>> import rushlight as torch
    >>> torch.nn.functional.dropout2d(torch.ones(1, 2, 2, 2), 0.5, training=False).shape
    torch.Size([1, 2, 2, 2])
    """
    _check(p)
    rank = input.dim()
    if rank not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {rank}-D input to dropout2d, which is deprecated and will "
            "result in an error in a future release. To retain the behavior and silence this "
            "warning, please use dropout instead. Note that dropout2d exists to provide "
            "channel-wise dropout on inputs with 2 spatial dimensions, a channel dimension, and an "
            "optional batch dimension (i.e. 3D or 4D inputs).",
            UserWarning,
            stacklevel=3,
        )
    elif rank == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
            "dropout behavior, please switch to using dropout1d instead.",
            UserWarning,
            stacklevel=3,
        )
    return _drop(input, p, training, inplace, _features(input) if training else ())


@composite(
    namespaces=_F,
    samples=(S(t(2, 3, 2, 2, 2), 0.3, False), S(t(2, 3, 2, 2, 2), 0.4), S(t(3, 2, 2, 2), 0.4)),
    errors=(_PROBABILITY,),
)
def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """``dropout`` of whole channels of volumes (N, C, D, H, W) or (C, D, H, W).

    >>> import rushlight as torch
    >>> torch.nn.functional.dropout3d(torch.ones(2, 1, 1, 1), 0.5, training=False).shape
    torch.Size([2, 1, 1, 1])
    """
    _check(p)
    rank = input.dim()
    if rank not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {rank}-D input to dropout3d, which is deprecated and will "
            "result in an error in a future release. To retain the behavior and silence this "
            "warning, please use dropout instead. Note that dropout3d exists to provide "
            "channel-wise dropout on inputs with 3 spatial dimensions, a channel dimension, and an "
            "optional batch dimension (i.e. 4D or 5D inputs).",
            UserWarning,
            stacklevel=3,
        )
    x = input if rank == 5 else input.unsqueeze_(0) if inplace else input.unsqueeze(0)
    y = _drop(x, p, training, inplace, _features(x) if training else ())
    return y if rank == 5 else y.squeeze_(0) if inplace else y.squeeze(0)


def _alpha(input: Any, p: float, training: bool, inplace: bool, shape: Shape) -> Any:
    if not training or p == 0 or input.numel() == 0:
        return input
    _refuse_integers(input)
    if p == 1:
        zero = input.new_zeros(())
        return input.mul_(zero) if inplace else input * zero
    alpha = 1.7580993408473766  # what SELU sends a very negative number to, but for the sign
    scale = 1.0 / ((alpha**2 * p + 1) * (1 - p)) ** 0.5
    kept = dropout_factors(input, shape, p) * (1 - p)
    shift = (kept - 1) * (alpha * scale) + alpha * scale * p
    if inplace:
        return input.mul_(kept * scale).add_(shift)
    return input * (kept * scale) + shift


@composite(
    namespaces=_F,
    samples=(S(t(3, 4), 0.3, False), S(t(5, 7), 0.4, True), S(t(3), 1.0, True)),
    errors=(_PROBABILITY,),
)
def alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """Dropout that keeps mean and variance of SELU networks; https://arxiv.org/abs/1706.02515.

    >>> import rushlight as torch
    >>> torch.nn.functional.alpha_dropout(torch.ones(2), 0.5)
    tensor([1., 1.])
    """
    _check(p)
    return _alpha(input, p, training, inplace, tuple(input.shape))


@composite(
    namespaces=_F,
    samples=(S(t(2, 3, 4), 0.3, False), S(t(2, 3, 4), 0.4, True)),
    errors=(_PROBABILITY,),
)
def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """``alpha_dropout`` of whole channels.

    >>> import rushlight as torch
    >>> torch.nn.functional.feature_alpha_dropout(torch.ones(1, 2, 1), 0.5).shape
    torch.Size([1, 2, 1])
    """
    _check(p)
    return _alpha(input, p, training, inplace, _features(input) if training else ())


# the forms of torch itself ---------------------------------------------------------------------


def _plain(name: str, whole: bool, alpha: bool) -> None:
    """``torch.dropout`` and its like, which take all arguments, and their in-place forms."""

    def apply(input: Any, p: float, train: bool, inplace: bool) -> Any:
        _check(p, RuntimeError)
        shape = tuple(input.shape) if whole or not train else _features(input)
        return (_alpha if alpha else _drop)(input, p, train, inplace, shape)

    def drop(input: Any, p: float, train: bool) -> Any:
        return apply(input, p, train, False)

    def drop_(input: Any, p: float, train: bool) -> Any:
        return apply(input, p, train, True)

    for function, mark, made in ((drop, "", "a new tensor"), (drop_, "_", "``input`` itself")):
        function.__doc__ = f"""``{name}`` with all its arguments; the result is {made}.

    >>> import rushlight as torch
    >>> torch.{name}{mark}(torch.ones(1, 2), 0.5, False)
    tensor([[1., 1.]])
    """
        x = t(2, 3, 4, grad=not mark)
        errors = (ErrorSample(S(t(2, 3), 1.5, True), RuntimeError, f"{_RANGE} 1.5"),)
        composite(
            name=name + mark, samples=(S(x, 0.3, False), S(x, 0.4, True)), errors=errors
        )(function)


_plain("dropout", True, False)
_plain("feature_dropout", False, False)
_plain("alpha_dropout", True, True)
_plain("feature_alpha_dropout", False, True)


# noise -----------------------------------------------------------------------------------------


@composite(
    namespaces=_F,
    samples=(S(t(3, 4)), S(t(3, 4), 0.5, True, numeric=False), S(t(3, 4), dim=0),
             S(t(3, 4), hard=True, dim=0, numeric=False)),
    errors=(ErrorSample(S(ti(3)), RuntimeError, "dtype must be a floating point but you"),),
)  # fmt: skip
def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """A random choice that can be differentiated; see https://arxiv.org/abs/1611.01144.

    Args:
        logits: unnormalised log probabilities, any shape.
        tau: the temperature.
        hard: choose a single class; the gradient is that of the soft choice.
        eps: not used.
        dim: the axis of the classes.

    >>> import rushlight as torch
    >>> torch.nn.functional.gumbel_softmax(torch.zeros(1, 3), hard=True).sum()
    tensor(1.)
    """
    if not logits.dtype.is_floating_point:
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {SCALAR_NAMES[logits.dtype]}"
        )
    gumbels = -exponential_noise(tuple(logits.shape), logits.dtype).log()
    soft = ((logits + gumbels) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    chosen = logits.new_zeros(logits.shape).scatter(dim, index, 1.0)
    return chosen - soft.detach() + soft
