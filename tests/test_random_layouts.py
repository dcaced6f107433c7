"""Random numbers go where PyTorch puts them, whatever the tensor's layout in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight

torch = pytest.importorskip("torch", reason="PyTorch (the extra `oracle`) is not installed")

LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda lib: lib.full((3, 7), 0.4),
    "permuted": lambda lib: lib.full((2, 3, 4), 0.4).permute(2, 0, 1),
    "reversed": lambda lib: lib.full((4, 5, 6), 0.4).permute(2, 1, 0),
    "an axis of one": lambda lib: lib.full((3, 1, 5), 0.4).permute(1, 2, 0),
    "with gaps": lambda lib: lib.full((4, 6), 0.4).t()[::2],
}
NEW: dict[str, Callable[[Any, Any], Any]] = {
    "rand_like": lambda lib, x: lib.rand_like(x),
    "randn_like": lambda lib, x: lib.randn_like(x),
    "randint_like": lambda lib, x: lib.randint_like(x, 10),
    "bernoulli": lambda lib, x: lib.bernoulli(x),
    "dropout": lambda lib, x: lib.nn.functional.dropout(x),
}
INTO: dict[str, Callable[[Any, Any], Any]] = {
    "uniform_": lambda lib, x: x.uniform_(),
    "normal_": lambda lib, x: x.normal_(),
    "bernoulli_": lambda lib, x: x.bernoulli_(),
    "bernoulli_ of a tensor": lambda lib, x: x.bernoulli_(
        lib.full(x.shape, 0.1).cumsum(-1).clamp(max=1)
    ),
    "exponential_": lambda lib, x: x.exponential_(),
    "random_": lambda lib, x: x.random_(),
    "cauchy_": lambda lib, x: x.cauchy_(),
    "log_normal_": lambda lib, x: x.log_normal_(),
    "geometric_": lambda lib, x: x.geometric_(0.3),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NEW | INTO)
def test_the_same_numbers_at_the_same_places(name: str, layout: str) -> None:
    made = []
    for library in (rushlight, torch):
        library.manual_seed(0)
        result = (NEW | INTO)[name](library, LAYOUTS[layout](library))
        made.append((result.tolist(), library.rand(2).tolist()))
        steps = zip(result.stride(), result.shape, strict=True)
        made[-1] += ([step for step, size in steps if size > 1],)
    assert made[0] == made[1]
