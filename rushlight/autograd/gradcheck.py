"""Checking gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight.autograd.grad_mode import enable_grad, no_grad
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.trace.backward import as_tuple, grad


class GradcheckError(RuntimeError):
    """An analytical gradient does not agree with the numerical one."""


def _outputs(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    made = function(*inputs)
    listed = [made] if isinstance(made, TensorBase) else list(made)
    return [
        x
        for x in listed
        if isinstance(x, TensorBase) and x._value.meta.dtype.category >= 2
    ]


def _numerical(
    function: Callable[..., Any], inputs: Sequence[Any], index: int, eps: float
) -> list[np.ndarray]:
    """One Jacobian per output: rows are elements of the input, columns of the output."""
    base = np.array(inputs[index].detach()._array(), order="C")
    is_complex = base.dtype.kind == "c"
    steps = (eps, eps * 1j) if is_complex else (eps,)
    columns: list[list[np.ndarray]] = []
    for place in np.ndindex(base.shape):
        parts = []
        for step in steps:
            rows = []
            for sign in (1, -1):
                moved = base.copy()
                moved[place] += sign * step
                arguments = list(inputs)
                arguments[index] = tensor_of_array(moved)
                with no_grad():
                    rows.append([np.array(y._array()) for y in _outputs(function, arguments)])
            parts.append([(p - m) / (2 * eps) for p, m in zip(*rows, strict=True)])
        if is_complex:
            # PyTorch's convention: the conjugate Wirtinger derivative, real and imaginary step
            merged = [a + 1j * b for a, b in zip(parts[0], parts[1], strict=True)]
            columns.append(merged)
        else:
            columns.append(parts[0])
    if not columns:
        return []
    return [np.stack([c[k].ravel() for c in columns]) for k in range(len(columns[0]))]


def _analytical(outputs: Sequence[Any], x: Any) -> list[np.ndarray]:
    jacobians = []
    for y in outputs:
        size = y.numel()
        rows = np.zeros((x.numel(), size), np.asarray(x.detach()._array()).dtype)
        for k in range(size):
            seed = np.zeros(tuple(y.shape), y.dtype.numpy)
            seed.reshape(-1)[k] = 1
            if y.requires_grad:
                (g,) = grad([y], [x], [tensor_of_array(seed)], True, False, allow_unused=True)
                if g is not None:
                    rows[:, k] = np.asarray(g._array()).ravel()
        jacobians.append(rows)
    return jacobians


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **_: Any,
) -> bool:
    """Compare analytical gradients with central differences, element by element.

    Args:
        func: a function of tensors that returns a tensor or a tuple of them.
        inputs: its arguments; those that require gradients should be of double precision.
        eps: the step of the differences.
        atol: absolute tolerance.
        rtol: relative tolerance.
        raise_exception: raise ``GradcheckError`` instead of returning ``False``.

    See https://pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html.

    >>> import rushlight as torch
    >>> x = torch.tensor([0.5, 1.5], dtype=torch.double, requires_grad=True)
    >>> torch.autograd.gradcheck(lambda x: x * x * x, (x,))
    True
    """
    arguments = as_tuple(inputs)
    checked = [i for i, x in enumerate(arguments) if isinstance(x, TensorBase) and x._edge]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the "
            "them have requires_grad=True."
        )
    for i in checked:
        outputs = _outputs(func, arguments)
        found = _analytical(outputs, arguments[i])
        expected = _numerical(func, arguments, i, eps)
        for number, (a, n) in enumerate(zip(found, expected, strict=False)):
            if not np.allclose(a, n, rtol=rtol, atol=atol, equal_nan=True):
                if not raise_exception:
                    return False
                raise GradcheckError(
                    f"Jacobian mismatch for output {number} with respect to input {i},\n"
                    f"numerical:{n}\nanalytical:{a}\n"
                )
    return True


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, **options: Any
) -> bool:
    """Check the gradients of the gradients of ``func`` against finite differences.

    >>> import rushlight as torch
    >>> x = torch.tensor([0.5, 1.5], dtype=torch.double, requires_grad=True)
    >>> torch.autograd.gradgradcheck(lambda x: x * x * x, (x,))
    True
    """
    arguments = as_tuple(inputs)
    wanted = [i for i, x in enumerate(arguments) if isinstance(x, TensorBase) and x._edge]
    outputs = _outputs(func, arguments)
    outputs = [y for y in outputs if y.requires_grad]
    if grad_outputs is None:
        generator = np.random.default_rng(0)
        seeds = []
        for y in outputs:
            drawn = generator.standard_normal(tuple(y.shape))
            seeds.append(tensor_of_array(np.asarray(drawn, y.dtype.numpy)).requires_grad_())
    else:
        seeds = list(as_tuple(grad_outputs))
    count = len(arguments)

    def first_gradient(*everything: Any) -> tuple[Any, ...]:
        given, gs = everything[:count], everything[count:]
        given = tuple(
            x.detach().requires_grad_() if i in wanted and not x.requires_grad else x
            for i, x in enumerate(given)
        )
        with enable_grad():
            ys = [y for y in _outputs(func, given) if y.requires_grad]
            made = grad(
                ys, [given[i] for i in wanted], list(gs), create_graph=True, allow_unused=True
            )
        return tuple(g for g in made if g is not None)

    return gradcheck(first_gradient, (*arguments, *seeds), **options)
