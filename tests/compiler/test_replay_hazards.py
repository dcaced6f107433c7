"""The hazards of replaying by name, again with every program compiled as soon as it comes back.

The cases are those of ``tests/engine/trace/test_replay_hazards.py``; here they run recorded and
compiled. Threads count their programs each for itself, so that what is compiled, and with it the
last bit of a loss, depends on which thread takes which step: they are compared as far as that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight.engine.runtime.cache import counters
from tests.engine.trace import test_replay_hazards as hazards, test_threads as threads
from tests.fuzz import modes

#: What other tracing systems list against themselves, and the cases that stand for it.
HAZARDS: dict[str, tuple[str, ...]] = {
    "changed branch": ("test_changed_branch", "test_changed_branch_without_a_read"),
    "changed constant": ("test_changed_constant", "test_changed_global_and_closure",
                         "test_changed_attribute_of_an_operation"),
    "item in the step": ("test_item_in_the_step", "test_data_that_decides_a_shape"),
    "aliased output": ("test_aliased_output", "test_the_result_of_the_last_step_is_not_overwritten",
                       "test_one_tensor_given_twice"),
    "view offset": ("test_view_offset", "test_view_offset_of_a_waiting_value",
                    "test_view_offset_of_an_input"),
    "side effect": ("test_side_effect",),
    "shared instance": ("test_shared_instance", "test_exchanged_parameter"),
    "exception in the middle of a step": ("test_exception_in_the_middle_of_a_step",),
    "threads": ("test_side_by_side", "test_one_after_the_other"),
}  # fmt: skip


def test_side_by_side() -> None:
    alone = [threads.train(seed) for seed in range(4)]
    for _ in range(3):
        made = threads.together(*[lambda s=seed: threads.train(s) for seed in range(4)])
        np.testing.assert_allclose(made, alone, rtol=1e-4)


def test_one_after_the_other() -> None:
    alone = threads.train(1)
    for _ in range(3):
        made = threads.together(lambda: threads.train(1))[0]
        np.testing.assert_allclose(made, alone, rtol=1e-4)


def test_view_offset_of_an_input() -> None:
    """One program, for views that lie elsewhere in memory each time."""
    data = torch.arange(20.0)
    data.tolist()
    for number in range(12):
        part = data[number : number + 6 : 2]
        found = (part * 2 + 1).exp().log().tolist()
        np.testing.assert_allclose(found, [2 * (number + i) + 1 for i in (0, 2, 4)], rtol=1e-6)


def cases(module: Any) -> Iterator[tuple[str, Callable[..., None], dict[str, Any]]]:
    """The tests of a module with each of their arguments."""
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        marks = [m for m in getattr(function, "pytestmark", []) if m.name == "parametrize"]
        if not marks:
            yield name, function, {}
        for mark in marks:
            argument, values = mark.args
            for value in values:
                yield f"{name}[{value}]", function, {argument: value}


CASES = {name: (function, given) for name, function, given in cases(hazards)}
OWN_CASES = (test_side_by_side, test_one_after_the_other, test_view_offset_of_an_input)
CASES |= {function.__name__: (function, {}) for function in OWN_CASES}


@pytest.mark.parametrize("hazard", HAZARDS)
def test_every_hazard_has_a_case(hazard: str) -> None:
    names = {name.partition("[")[0] for name in CASES}
    assert set(HAZARDS[hazard]) <= names


@pytest.mark.skipif(not modes.COMPILER, reason=modes.NO_COMPILER)
@pytest.mark.parametrize("name", CASES)
def test_compiled(name: str) -> None:
    function, given = CASES[name]
    with modes.compiled():
        function(**given)


@pytest.mark.parametrize("name", CASES)
def test_recorded(name: str) -> None:
    function, given = CASES[name]
    with modes.recorded():
        function(**given)


@pytest.mark.skipif(not modes.COMPILER, reason=modes.NO_COMPILER)
def test_the_cases_run_compiled() -> None:
    """Most hazards are met by compiled programs, not by the interpreter."""
    met = []
    for names in HAZARDS.values():
        before = counters.compiled_runs
        with modes.compiled():
            for name in names:
                function, given = CASES[name]
                function(**given)
        met.append(counters.compiled_runs > before)
    assert all(met), [hazard for hazard, ran in zip(HAZARDS, met, strict=True) if not ran]
