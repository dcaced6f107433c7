"""Parameters by the names that NumPy has for them, as PyTorch's native functions accept them."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch

AXIS = (
    "std", "var", "prod", "amax", "amin", "argmax", "argmin", "any", "all", "logsumexp", "sum",
    "mean", "median", "cumsum", "softmax", "sort", "squeeze", "unsqueeze", "unbind", "max", "min",
    "nansum", "count_nonzero", "mode", "argsort", "log_softmax", "diff",
)  # fmt: skip
KEEP = (
    "std", "var", "prod", "amax", "amin", "argmax", "argmin", "any", "all", "logsumexp", "sum",
    "mean", "max", "min",
)  # fmt: skip


def listed(made: Any) -> Any:
    return [listed(x) for x in made] if isinstance(made, tuple) else (made.shape, made.tolist())


@pytest.mark.parametrize("name", AXIS)
def test_axis(name: str) -> None:
    x = torch.arange(6.0).reshape(2, 3)
    wanted = listed(getattr(x, name)(dim=0))
    assert listed(getattr(x, name)(axis=0)) == wanted
    assert listed(getattr(torch, name)(x, axis=0)) == wanted


@pytest.mark.parametrize("name", KEEP)
def test_keepdims(name: str) -> None:
    x = torch.arange(6.0).reshape(2, 3)
    wanted = listed(getattr(x, name)(dim=1, keepdim=True))
    assert listed(getattr(x, name)(axis=1, keepdims=True)) == wanted
    assert listed(getattr(torch, name)(x, axis=1, keepdims=True)) == wanted


def test_the_tensors_themselves() -> None:
    x = torch.arange(3.0)
    assert torch.add(x=x, x2=x).tolist() == [0, 2, 4]
    assert torch.exp(a=torch.zeros(1)).tolist() == [1]


def test_the_size_of_the_parts() -> None:
    assert [part.tolist() for part in torch.arange(5).split(split_size=2)] == [[0, 1], [2, 3], [4]]


def test_cat_and_stack() -> None:
    x = torch.ones(2, 2)
    assert torch.cat([x, x], axis=1).shape == (2, 4)
    assert torch.stack([x, x], axis=2).shape == (2, 2, 2)


def test_by_both_names_is_an_error() -> None:
    with pytest.raises(TypeError):
        torch.ones(2, 2).unsqueeze(dim=0, axis=1)


def test_functions_of_modules_take_only_their_own() -> None:
    with pytest.raises(TypeError):
        torch.nn.functional.softmax(torch.ones(2), axis=0)
