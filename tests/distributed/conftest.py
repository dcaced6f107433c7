"""No test of several ranks leaves processes behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.distributed.ranks import end_started


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    """End the launchers a failed test has left; their ranks end with them."""
    yield
    end_started()
