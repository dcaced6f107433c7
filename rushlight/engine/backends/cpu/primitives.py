"""oneDNN primitives as compiled programs call them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.primitives_convolution import (
    forward_recipe,
    input_grad_recipe,
    weight_grad_recipe,
)
from rushlight.engine.backends.cpu.primitives_matmul import (
    batched_recipe,
    dot_recipe,
    linear_recipe,
    mv_recipe,
    nn_recipe,
    nt_recipe,
    product_recipe,
    tn_recipe,
)
from rushlight.engine.backends.cpu.primitives_recipe import Epilogue, Primitive, Recipe, usable
from rushlight.engine.core.dtype import bfloat16
from rushlight.engine.ir.op import Spec

#: How to make the primitive of each operator: ``recipe(spec, epilogue, *attributes)``.
RECIPES: Final[dict[str, Callable[..., Recipe]]] = {
    "linear_": linear_recipe,
    "linear_rows": linear_recipe,
    "matmul_nn": nn_recipe,
    "matmul_nt": nt_recipe,
    "matmul_nt_rows": nt_recipe,
    "matmul_tn": tn_recipe,
    "mm": product_recipe,
    "bmm": product_recipe,
    "batched": batched_recipe,
    "mv": mv_recipe,
    "dot": dot_recipe,
    "convolution": forward_recipe,
    "convolution_input_grad": input_grad_recipe,
    "convolution_weight_grad": weight_grad_recipe,
}

#: Operators whose primitives are made for float32 alone; those of the others for bfloat16, too.
SINGLE_ONLY: Final = ("convolution", "convolution_input_grad", "convolution_weight_grad")

#: Recipes remembered; one is a few hundred bytes and oneDNN's descriptions.
REMEMBERED: Final = 1024


def primitive_for(
    spec: Spec, epilogue: Epilogue = (), packed: tuple[int, ...] = ()
) -> Primitive | None:
    """The primitive that computes an operator, with memory objects of its own.

    Args:
        spec: the operator.
        epilogue: what is done to the result, in this order: ``("relu",)`` (or ``tanh``,
            ``sigmoid``, ``gelu``, ``gelu_tanh``, ``silu``, ``elu``, ``hardswish``, ``relu6``),
            ``("scale", number)``, ``("add", meta)`` or ``("mul", meta)`` with an array that
            broadcasts to the result (a further input), ``("sum",)``: added to what is in the
            result's memory. For a convolution's weight gradient instead ``("bias_gradient",)``:
            the gradient of the bias is a second output.
        packed: numbers of inputs that are given in oneDNN's own layout, made by the primitive's
            ``packings``: weights that stay the same from call to call. For convolutions.

    Returns:
        ``None`` if oneDNN has no fast code for that.
    """
    name = spec.op.name
    if name not in RECIPES or not onednn.available():
        return None
    if not usable(spec) and (name in SINGLE_ONLY or not usable(spec, bfloat16)):
        return None
    recipe = _recipe(spec, epilogue, packed, threads.state.epoch)
    return None if recipe is None else Primitive(recipe)


@lru_cache(REMEMBERED)
def _recipe(spec: Spec, epilogue: Epilogue, packed: tuple[int, ...], epoch: int) -> Recipe | None:
    make: Any = RECIPES[spec.op.name]
    if packed and (spec.op.name != "convolution" or packed != (1,)):
        return None
    more = (packed,) if packed else ()
    try:
        with threads.lock:
            found: Recipe = make(spec, epilogue, *spec.attrs, *more)
            return found
    except onednn.Unsupported:
        return None
