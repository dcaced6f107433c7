"""Random programs: recorded, compiled and run by PyTorch they give what they give at once.

A failure names its seed; ``python -m tests.fuzz --programs 1 --seed SEED`` makes it small and
writes a script. The long run is described in docs/testing.md.
"""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from tests.fuzz import compare, modes
from tests.fuzz.compare import Outcome, Seen, available, check, difference
from tests.fuzz.draw import generate
from tests.fuzz.guard import guarded, handler
from tests.fuzz.programs import Leaf, Program, Statement
from tests.fuzz.shrink import shrink

#: Programs of one test.
PART = 50

needs_compiler = pytest.mark.skipif(not modes.COMPILER, reason=modes.NO_COMPILER)
needs_oracle = pytest.mark.skipif(
    modes.oracle is None, reason="PyTorch (the extra `oracle`) is not installed"
)


def examine(first: int, names: list[str]) -> int:
    """How many of the programs from a seed on could be compared in all these modes."""
    complete = 0
    failures = []
    for seed in range(first, first + PART):
        program = generate(seed)
        failure, compared = check(program, names)
        complete += compared.issuperset(names)
        if failure is not None:
            failures.append(f"seed {seed}: {failure.modes}, {failure.message}\n{program.source()}")
    assert not failures, "\n\n".join([f"{len(failures)} programs differ", *failures[:3]])
    return complete


@pytest.mark.parametrize("first", range(0, 500, PART))
def test_recorded_and_compiled(first: int) -> None:
    names = available(["recorded", "compiled"])
    assert examine(first, names) == PART


@needs_oracle
@pytest.mark.parametrize("first", range(1000, 1150, PART))
def test_oracle(first: int) -> None:
    assert examine(first, ["oracle"]) > PART * 0.6


# the fuzzer notices -----------------------------------------------------------------------------


def small_program(text: str, dtype: str = "float32", shape: tuple[int, ...] = (3, 4)) -> Program:
    """A program of one statement."""
    statement = Statement(text, ("a0",), "t0", shape=shape, dtype=dtype)
    return Program(0, (Leaf("a0", shape, dtype, 5),), (statement,), ("t0",))


def test_one_seed_is_one_program() -> None:
    assert [generate(seed) for seed in range(20)] == [generate(seed) for seed in range(20)]


def test_programs_differ() -> None:
    sources = [generate(seed).source() for seed in range(100)]
    assert len(set(sources)) == 100
    everything = "".join(sources)
    for words in (".backward(", "no_grad", ".tolist()", ".item()", "nonlocal", "if step",
    "step % 3",
                  "optimizer.step()", "torch.cat", "[", "del ", "bfloat16", "uint8"):  # fmt: skip
        assert words in everything, words


@pytest.mark.parametrize(
    ("text", "dtype"),
    [("{0} * 2", "float32"), ("{0} + 1", "int64"), ("{0}.exp().sum(0)", "float64")],
)
def test_a_wrong_kernel_is_noticed(text: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = small_program(text, dtype)
    assert check(program, ["recorded"])[0] is None
    ordinary = compare.run

    def wrong(program: Program, name: str) -> Outcome:
        outcome = ordinary(program, name)
        if name == "recorded":
            first = outcome.seen[0]
            array = first.array.copy()
            array.reshape(-1)[0] += 1 if array.dtype.kind == "i" else 1e-4 * abs(array).max()
            outcome.seen[0] = Seen(first.label, first.dtype, array)
        return outcome

    monkeypatch.setattr(compare, "run", wrong)
    failure, _ = check(program, ["recorded"])
    assert failure is not None
    assert failure.kind == "values"


def outcome(*arrays: object) -> Outcome:
    """An outcome of these arrays."""
    made = [np.asarray(array) for array in arrays]
    return Outcome([Seen(f"look {i}", str(a.dtype), a) for i, a in enumerate(made)])


def test_what_counts_as_different() -> None:
    one = np.array([1.0, np.nan, np.inf], np.float32)
    assert difference(outcome(one), outcome(one.copy()), []) is None
    assert difference(outcome(one), outcome(one * 2), [outcome(one * 2)]) is not None
    assert difference(outcome(one), outcome(one.astype(np.float64)), None) is not None
    assert difference(outcome(one[:2]), outcome(one), None) is not None
    assert difference(outcome(one, one), outcome(one), None) is not None
    assert difference(outcome([1, 2]), outcome([1, 3]), [outcome([1, 3])]) is not None
    assert difference(outcome([1, 2]), outcome([1, 3]), [outcome([1, 4])]) is None  # unstable
    failed = Outcome([], ValueError("a"))
    assert difference(failed, outcome(one), None) is not None
    assert difference(failed, Outcome([], ValueError("b")), None) is None


def test_shrinking_leaves_what_fails() -> None:
    program = next(p for p in map(generate, range(1000)) if "cat" in p.source())

    def fails(smaller: Program) -> bool:
        return any("torch.cat" in statement.text for statement in smaller.body)

    small = shrink(program, fails)
    assert fails(small)
    assert len(small.body) == 1
    assert small.steps == 1


def test_a_script_runs(capsys: pytest.CaptureFixture[str]) -> None:
    script = small_program("{0} * 2").script()
    exec(compile(script, "script", "exec"), {"__name__": "__main__"})
    assert "tensor(" in capsys.readouterr().out


def test_writing_beside_an_array_is_noticed() -> None:
    with guarded() as guard:
        guard.look()
        assert handler() == "guarded"
        array = np.arange(5, dtype=np.float32)
        array.resize(50)
        start, size = array.ctypes.data, array.nbytes
        assert array.sum() == 10
        del array
        assert guard.look() == []
        for place in (-4, size):
            array = np.zeros(50, np.float32)
            start = array.ctypes.data
            ctypes.memset(start + place, 0, 4)
            del array
            assert len(guard.look()) == 1
        assert np.isnan(np.empty(7, np.float32)).all()
    assert handler() != "guarded"


@needs_compiler
def test_compiled_programs_run() -> None:
    from rushlight.engine.runtime.cache import counters

    before = counters.compiled_runs
    assert check(small_program("({0} * 2).exp()"), ["compiled"])[0] is None
    assert counters.compiled_runs >= before + 4
