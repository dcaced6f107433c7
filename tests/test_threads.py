"""`set_num_threads` and `get_num_threads`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import rushlight as torch
from rushlight.engine.backends.cpu import threads


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_kernels_follow_at_once() -> None:
    product = torch.ones(300, 300) @ torch.ones(300, 300)
    assert product[0, 0].item() == 300
    for count in (2, 1, 3):
        torch.set_num_threads(count)
        assert torch.get_num_threads() == count == threads.limit()
        assert threads.choose(1e6) == count
        assert (torch.ones(300, 300) @ torch.ones(300, 300))[0, 0].item() == 300


@pytest.mark.parametrize("count", [0, -1])
def test_no_threads(count: int) -> None:
    with pytest.raises(RuntimeError, match="set_num_threads expects a positive integer"):
        torch.set_num_threads(count)


def test_half_a_thread() -> None:
    with pytest.raises(TypeError, match="set_num_threads expects an int, but got float"):
        torch.set_num_threads(1.5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_stays_at_one() -> None:
    torch.set_num_threads(2)
    child = os.fork()
    if not child:
        torch.set_num_threads(4)
        os._exit(torch.get_num_threads())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert torch.get_num_threads() == 2
