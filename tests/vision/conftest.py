"""What the tests of vision share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vision.oracle import load_torchvision


@pytest.fixture(scope="session")
def torchvision() -> Any:
    """torchvision; where it is absent the test is skipped."""
    return load_torchvision()
