"""Comparisons and logic: boolean results, element by element."""

from __future__ import annotations

from collections.abc import Callable
from operator import and_, or_, xor
from typing import Any

import numpy as np

from rushlight.engine.ir.op import Op, composite
from rushlight.engine.ir.samples import BINARY, S, t, tb, tc, ti
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops.arithmetic_rules import example, guarded, require_tensor
from rushlight.engine.ops.bodies import true
from rushlight.engine.ops.elementwise import COMPARE, pointwise

_SAMPLES = (*BINARY, S(ti(3, 2), t(2)), S(ti(4), 1), S(ti(4), 1.5), S(tb(3), tb(3)))


#: The long names of comparisons.
ALIASES: dict[str, str] = {}


def _compare(name: str, function: np.ufunc, alias: str, words: str, shown: str) -> Op:
    """Record a comparison under both its names."""
    ordered = name not in ("eq", "ne")
    op = pointwise(
        f"{name}(Tensor input, Tensor other)",
        function,
        scalar=getattr(Expr, name if name in ("eq", "ne") else f"__{name}__"),
        rule=COMPARE,
        infer=guarded(2, COMPARE, complex=f"{name}_cpu" if ordered else None),
        samples=_SAMPLES if ordered else (*_SAMPLES, S(tc(3), tc(3)), S(tc(3), t(3))),
        namespaces=("torch",),
        method=True,
        doc=f"Where ``input`` is {words} ``other``."
        + example(f"{name}(torch.tensor([1, 2, 3]), 2)", shown),
    )
    if alias:

        def call(input: Any, other: Any) -> Any:
            return op.quick(input, other)

        call.__doc__ = f"Another name of ``{name}``." + example(
            f"{alias}(torch.tensor([1, 2, 3]), 2)", shown
        )
        composite(name=alias, method=True, samples=op.samples)(call)
        ALIASES[name] = alias
    return op


eq = _compare("eq", np.equal, "", "equal to", "tensor([False,  True, False])")
ne = _compare("ne", np.not_equal, "not_equal", "different from", "tensor([ True, False,  True])")
lt = _compare("lt", np.less, "less", "less than", "tensor([ True, False, False])")
le = _compare("le", np.less_equal, "less_equal", "at most", "tensor([ True,  True, False])")
gt = _compare("gt", np.greater, "greater", "greater than", "tensor([False, False,  True])")
ge = _compare(
    "ge", np.greater_equal, "greater_equal", "at least", "tensor([False,  True,  True])"
)


# logic ------------------------------------------------------------------------------------------

_LOGIC = (S(t(3, 4), t(4)), S(ti(3), t(3)), S(tb(3), tb(3)), S(tb(2, 1), tb(3)), S(tb(0), tb(0)))

logical_not = pointwise(
    "logical_not(Tensor input)",
    np.logical_not,
    scalar=lambda x: ~true(x),
    rule=COMPARE,
    samples=(S(t(3)), S(ti(3)), S(tb(3)), S(tb(0)), S(tc(2))),
    namespaces=("torch",),
    method=True,
    doc="Where ``input`` is 0 or false."
    + example("logical_not(torch.tensor([True, False]))", "tensor([False,  True])"),
)


def _logic(
    name: str, function: np.ufunc, combine: Callable[[Expr, Expr], Expr], words: str, shown: str
) -> Callable[..., Any]:
    op = pointwise(
        f"{name}(Tensor input, Tensor other)",
        function,
        scalar=lambda x, other: combine(true(x), true(other)),
        rule=COMPARE,
    )

    def call(input: Any, other: Any) -> Any:
        require_tensor(other, name, "other", 2)
        return op.quick(input, other)

    call.__doc__ = (
        f"Where {words}; 0 counts as false.\n\n"
        "    Args:\n        input: a tensor.\n        other: a tensor that broadcasts with it."
        + example(f"{name}(torch.tensor([True, True]), torch.tensor([True, False]))", shown)
    )
    return composite(name=name, method=True, samples=_LOGIC)(call)


logical_and = _logic(
    "logical_and", np.logical_and, and_, "both are true", "tensor([ True, False])"
)
logical_or = _logic(
    "logical_or", np.logical_or, or_, "one of them is true", "tensor([True, True])"
)
logical_xor = _logic(
    "logical_xor", np.logical_xor, xor, "exactly one of them is true", "tensor([False,  True])"
)
