"""Decompositions: functions of them that do not depend on the choice of vectors, and failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight._api import api

linalg = api.namespaces["linalg"]
STEP = 1e-6


def adjoint(x: Any) -> Any:
    return x.transpose(-2, -1).conj() if x.is_complex() else x.transpose(-2, -1)


def from_svd(x: Any) -> list[Any]:
    u, s, vh = linalg["svd"](x, full_matrices=False)
    return [(u * s**2) @ adjoint(u), u @ vh, s]


def from_eigh(x: Any) -> list[Any]:
    values, vectors = linalg["eigh"]((x + adjoint(x)) / 2)
    return [values, (vectors * values.sin()) @ adjoint(vectors)]


def from_eig(x: Any) -> list[Any]:
    values, vectors = linalg["eig"](x)
    return [(vectors * values * values) @ linalg["inv"](vectors)]


def from_cholesky(x: Any) -> list[Any]:
    n = x.shape[-1]
    positive = x @ adjoint(x) + n * rushlight.eye(n, dtype=x.dtype)
    return [linalg["cholesky"](positive), linalg["cholesky"](positive, upper=True)]


def from_lu(x: Any) -> list[Any]:
    return list(linalg["lu"](x)[1:])


def from_qr(x: Any) -> list[Any]:
    return list(linalg["qr"](x))


def from_pinv(x: Any) -> list[Any]:
    return [linalg["pinv"](x)]


SHAPES = {
    from_svd: [(4, 3), (3, 4), (3, 3)],
    from_eigh: [(3, 3)],
    from_eig: [(3, 3)],
    from_cholesky: [(3, 3)],
    from_lu: [(4, 3), (3, 4), (3, 3)],
    from_qr: [(4, 3), (3, 4), (3, 3)],
    from_pinv: [(4, 3), (3, 4)],
}
CASES = [(f, shape, c) for f, shapes in SHAPES.items() for shape in shapes for c in (False, True)]


def draw(shape: tuple[int, ...], is_complex: bool, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    made = generator.standard_normal(shape)
    return made + 1j * generator.standard_normal(shape) if is_complex else made


def inner(a: Any, b: Any) -> float:
    return float(np.real(np.sum(np.conj(a) * b)))


def array(x: Any) -> np.ndarray:
    return np.asarray(x.detach().numpy())


@pytest.mark.parametrize(("function", "shape", "is_complex"), CASES)
def test_gradients_are_the_slopes(
    function: Callable[[Any], list[Any]], shape: tuple[int, ...], is_complex: bool
) -> None:
    point, direction = draw(shape, is_complex, 0), draw(shape, is_complex, 1)

    def weighted(at: np.ndarray) -> tuple[float, Any, Any]:
        x = rushlight.tensor(at).requires_grad_()
        outputs = function(x)
        weights = [draw(tuple(o.shape), o.is_complex(), 2) for o in outputs]
        total = sum(inner(w, array(o)) for w, o in zip(weights, outputs, strict=True))
        (gradient,) = rushlight.autograd.grad(
            outputs, [x], [rushlight.tensor(w) for w in weights], create_graph=True
        )
        return total, gradient, x

    _, gradient, x = weighted(point)
    ahead, behind = weighted(point + STEP * direction), weighted(point - STEP * direction)
    slope = (ahead[0] - behind[0]) / (2 * STEP)
    assert inner(array(gradient), direction) == pytest.approx(slope, rel=1e-5, abs=1e-5)

    second = draw(shape, is_complex, 3)
    (curvature,) = rushlight.autograd.grad([gradient], [x], [rushlight.tensor(second)])
    slope = (inner(second, array(ahead[1])) - inner(second, array(behind[1]))) / (2 * STEP)
    assert inner(array(curvature), direction) == pytest.approx(slope, rel=1e-4, abs=1e-4)


def test_equal_values_do_not_spoil_the_gradient_of_values() -> None:
    x = rushlight.eye(3, dtype=rushlight.float64).requires_grad_()
    linalg["svdvals"](x).sum().backward()
    np.testing.assert_allclose(array(x.grad), np.eye(3), atol=1e-12)
    x.grad = None
    linalg["eigh"](x)[0].sum().backward()
    np.testing.assert_allclose(array(x.grad), np.eye(3), atol=1e-12)


def test_the_gradient_of_undetermined_vectors_is_nan() -> None:
    x = rushlight.eye(3, dtype=rushlight.float64).requires_grad_()
    linalg["eigh"](x)[1].sum().backward()
    assert np.isnan(array(x.grad)).any()


SINGULAR = [[1.0, 2.0], [2.0, 4.0]]
FAILURES = [
    ("inv", (SINGULAR,), "The diagonal element 2 is zero"),
    ("inv", ([[[2.0, 0.0], [0.0, 1.0]], SINGULAR],), r"\(Batch element 1\): The diagonal"),
    ("solve", (SINGULAR, [1.0, 1.0]), "The solver failed because the input matrix is singular"),
    ("cholesky", ([[1.0, 2.0], [2.0, 1.0]],), "leading minor of order 2"),
    ("svd", ([[float("nan"), 0.0], [0.0, 1.0]],), "non-finite values"),
]


@pytest.mark.parametrize(("name", "arguments", "words"), FAILURES)
def test_failures_name_the_matrix(name: str, arguments: Any, words: str) -> None:
    made = linalg[name](*[rushlight.tensor(a) for a in arguments])
    first = made[0] if isinstance(made, tuple) and not hasattr(made, "dtype") else made
    with pytest.raises(RuntimeError, match=words) as caught:
        first.tolist()
    assert type(caught.value).__name__ == "_LinAlgError"


def test_information_instead_of_failure() -> None:
    a = rushlight.tensor([[[2.0, 0.0], [0.0, 1.0]], SINGULAR])
    inverse, info = linalg["inv_ex"](a)
    assert info.tolist() == [0, 2]
    assert inverse[0].tolist() == [[0.5, 0.0], [0.0, 1.0]]
    assert linalg["cholesky_ex"](a)[1].tolist() == [0, 2]
    assert linalg["lu_factor_ex"](a)[2].tolist() == [0, 2]


def test_the_derivative_of_a_singular_determinant() -> None:
    x = rushlight.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=rushlight.float64).requires_grad_()
    linalg["det"](x).backward()
    np.testing.assert_allclose(array(x.grad), [[4.0, -2.0], [-2.0, 1.0]], atol=1e-12)
