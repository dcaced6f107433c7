"""A bilinear form of two vectors."""

from __future__ import annotations

from typing import Any

from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import ErrorSample, S, t


def _check(input1: Any, input2: Any, weight: Any, bias: Any) -> None:
    if input1.dim() != input2.dim():
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}"
        )
    for axis in range(input1.dim() - 1):
        if input1.shape[axis] != input2.shape[axis]:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {axis}: got "
                f"{input1.shape[axis]} and {input2.shape[axis]}"
            )
    for number, part in enumerate((input1, input2), 1):
        if part.shape[-1] != weight.shape[number]:
            raise RuntimeError(
                f"bilinear(): input{number} size does not match weight size: got {part.shape[-1]} "
                f"but expected {weight.shape[number]}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected "
            f"{weight.shape[0]}"
        )


_WEIGHT = t(2, 3, 5)


@composite(
    namespaces=("nn.functional", "torch"),
    samples=(
        S(t(4, 3), t(4, 5), _WEIGHT, t(2)),
        S(t(2, 4, 3), t(2, 4, 5), _WEIGHT),
        S(t(3), t(5), _WEIGHT),
    ),
    errors=(
        ErrorSample(S(t(4, 3), t(5), _WEIGHT), RuntimeError, "input dimensions do not match"),
        ErrorSample(S(t(4, 3), t(3, 5), _WEIGHT), RuntimeError, "batch dimensions do not match"),
        ErrorSample(S(t(4, 4), t(4, 5), _WEIGHT), RuntimeError, "input1 size does not match"),
        ErrorSample(S(t(4, 3), t(4, 4), _WEIGHT), RuntimeError, "input2 size does not match"),
        ErrorSample(S(t(4, 3), t(4, 5), _WEIGHT, t(3)), RuntimeError, "bias size does not match"),
    ),
)
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """``input1 weight[k] input2`` for every k.

    Args:
        input1: (..., I).
        input2: (..., J).
        weight: (K, I, J).
        bias: (K).

    Returns:
        (..., K).

    >>> import rushlight as torch
    >>> one = torch.ones(1, 2)
    >>> torch.nn.functional.bilinear(one, one, torch.ones(1, 2, 2))
    tensor([[4.]])
    """
    _check(input1, input2, weight, bias)
    out, first, second = weight.shape
    x, y = input1.reshape(-1, first), input2.reshape(-1, second)
    half = (x @ weight.permute(1, 0, 2).reshape(first, out * second)).view(x.shape[0], out, second)
    made = (half @ y.unsqueeze(-1)).view((*input1.shape[:-1], out))
    return made if bias is None else made + bias
