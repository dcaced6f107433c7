"""Recorded programs: which nodes are alive, what comes from outside, how they are shown."""

from __future__ import annotations

from rushlight.engine.core.dtype import float32
from rushlight.engine.ir.graph import make_meta
from rushlight.engine.ir.op import Op
from rushlight.engine.ir.program import Node, Program

META = make_meta((2,), float32)
ADD = Op.registry["add"].specialize((META, META))
EXP = Op.registry["exp"].specialize((META,))


def program(held: tuple[bool, ...]) -> Program:
    """%2 = %0 + %1, %3 = exp(%2), %4 = exp(%0)."""
    nodes = [Node(ADD, (0, 1), 2, None), Node(EXP, (2,), 3, None), Node(EXP, (0,), 4, None)]
    return Program(nodes, 5, held)


def names(found: Program) -> list[int]:
    return [node.first for node in found.nodes]


def test_only_what_somebody_holds_is_computed() -> None:
    assert names(program((True, True, False, True, False))) == [2, 3]
    assert names(program((True, True, False, False, True))) == [4]
    assert names(program((True, True, False, False, False))) == []
    assert names(program((True,) * 5)) == [2, 3, 4]


def test_inputs_are_what_is_read_and_not_made() -> None:
    assert program((True, True, False, True, False)).inputs == [0, 1]
    assert program((True, True, False, False, True)).inputs == [0]


def test_what_nobody_else_holds_is_owned() -> None:
    found = program((False, True, False, True, False))
    assert found.owned == {0}
    assert found.keep == [3]
    assert (found.size, found.runs, found.steps) == (5, 0, None)


def test_outside_values_are_not_kept() -> None:
    assert program((True, True, True, True, True)).keep == [2, 3, 4]


def test_a_missing_input_is_no_input() -> None:
    node = Node(EXP, (-1,), 1, None)
    assert Program([node], 2, (False, True)).inputs == []


def test_the_outputs_of_a_node_follow_one_another() -> None:
    image = make_meta((1, 1, 4, 4), float32)
    spec = Op.registry["max_pool"].specialize((image,), ((2, 2), (2, 2), (0, 0), (1, 1), False))
    node = Node(spec, (0,), 5, None)
    assert list(node.outputs) == [5, 6]
    assert spec.out.shape == (1, 1, 2, 2)


def test_a_program_can_be_read() -> None:
    assert str(program((True, True, False, True, False))).splitlines() == [
        "inputs %0 %1",
        "  %2: <float32[2]> = add(%0, %1)",
        "  %3: <float32[2]> = exp(%2)",
        "keep %3",
    ]
