"""Views of computed memory of which there are many: nothing is remembered of them."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import rushlight as torch
from rushlight.engine.ir.op import FEW_SPECS
from rushlight.engine.ops.view import select
from rushlight.engine.runtime.cache import counters

MANY = 3 * FEW_SPECS


@pytest.fixture
def many() -> torch.Tensor:
    """A tensor of which so many rows have been looked at that further ones are passing."""
    x = torch.arange(MANY * 4.0).reshape(MANY, 4).clone()
    for i in range(MANY):
        assert x[i][0].item() == 4 * i
    return x


def test_nothing_is_remembered(many: torch.Tensor) -> None:
    gc.collect()
    before = len(select.specs)
    for i in range(MANY):
        many[i]
    assert len(select.specs) == before <= FEW_SPECS + 1


def test_they_see_writes_and_write(many: torch.Tensor) -> None:
    row, same = many[MANY - 1], many[MANY - 1]
    many[MANY - 1] = torch.ones(4)
    assert row.tolist() == [1.0] * 4
    row.add_(same)
    assert many[MANY - 1].tolist() == same.tolist() == [2.0] * 4
    row[1] = 7.0
    assert many[MANY - 1, 1].item() == 7.0


def test_a_write_to_one_place_is_one_program(many: torch.Tensor) -> None:
    programs = []
    for _ in range(6):
        many[MANY - 3].mul_(2.0)
        many.sum().item()
        programs.append(counters.programs)
    assert programs[-1] == programs[2]


def test_they_share_memory_with_numpy(many: torch.Tensor) -> None:
    array = many.numpy()
    row = many[MANY - 2]
    array[MANY - 2] = 5.0
    assert row.tolist() == [5.0] * 4
    row.zero_()
    assert not np.any(array[MANY - 2])


def test_gradients_through_them(many: torch.Tensor) -> None:
    many.requires_grad_()
    (many[MANY - 1] * torch.arange(4.0)).sum().backward()
    assert many.grad is not None
    assert many.grad[MANY - 1].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert many.grad.sum().item() == 6.0


def test_a_view_taken_before_its_base_gets_gradients() -> None:
    base = torch.arange(MANY * 2.0).reshape(MANY, 2).clone()
    for i in range(MANY):
        base[i]
    row = base[MANY - 1]
    weight = torch.ones(MANY, 2, requires_grad=True)
    base.mul_(weight)  # the base is part of a graph now, and so are its views
    row.sum().backward()
    assert weight.grad is not None
    assert weight.grad[MANY - 1].tolist() == [2.0 * MANY - 2, 2.0 * MANY - 1]
    assert weight.grad[0].tolist() == [0.0, 0.0]


def test_slices_and_mixed_indices(many: torch.Tensor) -> None:
    for i in range(MANY - 2):
        assert many[i : i + 2].shape == (2, 4)
        assert many[i, 1:].shape == (3,)
    part = many[5:9]
    part.fill_(0.0)
    assert many[4:10].sum(1).tolist() == [70.0, 0.0, 0.0, 0.0, 0.0, 150.0]
