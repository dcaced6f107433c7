"""one_hot: class numbers as rows of zeros with a single one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import int64
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import GATHER, Op, Spec, composite, hooks
from rushlight.engine.ir.samples import ErrorSample, S, ti
from rushlight.engine.ir.scalar import Expr, cast
from rushlight.engine.ops.places import Load, Place, whole_number


def _check(classes: np.ndarray, count: int) -> None:
    if classes.size and classes.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if classes.size and classes.max() >= count:
        raise RuntimeError(
            "Class values must be smaller than num_classes.\n"
            f"The largest is {int(classes.max())}, num_classes is {count}."
        )


def _infer(input: Meta, num_classes: int) -> Meta:
    return make_meta((*input.shape, num_classes), int64, input.device)


def _kernel(spec: Spec, num_classes: int) -> Callable[[np.ndarray], np.ndarray]:
    def call(classes: np.ndarray) -> np.ndarray:
        _check(classes, num_classes)
        made = np.zeros((classes.size, num_classes), np.int64)
        made[np.arange(classes.size), classes.reshape(-1)] = 1
        return made.reshape(spec.out.shape)

    return call


def _element(load: Load, index: Place, spec: Spec, num_classes: int) -> Expr:
    return cast(whole_number(load(0, index[:-1])).eq(whole_number(index[-1])), int64)


one_hot_op = Op(
    "one_hot(Tensor input, int num_classes)",
    kind=GATHER,
    infer=_infer,
    kernel=_kernel,
    element=_element,
    check=((0,), lambda spec, num_classes: lambda classes: _check(classes, num_classes)),
    may_fail=True,
)


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(ti(4, low=0, high=3)), S(ti(2, 3, low=0, high=3), 5), S(ti(low=0, high=3), num_classes=3),
    ),
    errors=(
        ErrorSample(S(ti(1, values=[3]), 2), RuntimeError, "must be smaller than num_classes"),
        ErrorSample(S(ti(1, values=[-1])), RuntimeError, "must be non-negative"),
    ),
)  # fmt: skip
def one_hot(input: Any, num_classes: int = -1) -> Any:
    """Zeros with a one at the place every number of ``input`` names, along a new last axis.

    Args:
        input: int64, any shape.
        num_classes: the size of the new axis; one more than the largest number if it is -1.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.one_hot.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if input.dtype is not int64:
        raise RuntimeError(
            "one_hot is only applicable to index tensor of type LongTensor.\n"
            "Convert the input with .long()."
        )
    if num_classes == -1:
        classes = input._array("one_hot()")
        if not classes.size:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = max(int(classes.max()) + 1, 1)
    elif num_classes < 1 and not input.numel():
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    known = input._read().buffer
    if isinstance(known, np.ndarray):
        _check(known, num_classes)
    return hooks.record(one_hot_op, (input,), (num_classes,))
