"""The type stubs say what the operator records say."""

from __future__ import annotations

from tools.generate_stubs import stale, stubs


def test_the_stubs_are_up_to_date() -> None:
    assert stale(stubs()) == [], "operators have changed: run `make stubs`"
