"""Draws programs: every statement is tried at once, and one that is refused is left out.

A program depends on its seed alone. Names: ``a`` leaves that hold state, ``w`` leaves that want
gradients, ``c`` constants, ``t`` tensors of a step, ``s`` numbers that were read.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np

import rushlight
from tests.fuzz.modes import eager
from tests.fuzz.programs import FLOATING, Leaf, Program, Statement, leaf

#: What a phrase does: adds statements to the generator's program, or nothing.
Phrase = Callable[["Generator"], object]

#: Phrases by name, with how often they are drawn; filled by the modules that define them.
PHRASES: dict[str, tuple[float, Phrase]] = {}

#: The largest number of elements of a result.
LARGEST = 2048

#: Refusals of a statement; anything else is a mistake of the library.
REFUSALS = (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError)

SHAPES = (
    (), (1,), (3,), (5,), (0,), (2, 3), (3, 4), (4, 1), (1, 4), (4, 4), (0, 3), (2, 3, 4),
    (3, 1, 4), (2, 1, 3), (1,), (6,), (2, 3, 6, 6), (4, 3, 5, 5), (2, 0, 3), (33,), (17, 9),
    (4, 64), (300,), (3, 130),
)  # fmt: skip


def phrase(weight: float) -> Callable[[Phrase], Phrase]:
    """Register a phrase."""

    def register(function: Phrase) -> Phrase:
        PHRASES[function.__name__] = weight, function
        return function

    return register


class Generator:
    """One program in the making, together with the tensors it has made so far."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.leaves: list[Leaf] = []
        self.body: list[Statement] = []
        self.optimizer = ""
        self.env: dict[str, Any] = {
            "torch": rushlight, "F": rushlight.nn.functional, "step": 0, "leaf": leaf,
            "look": lambda *things: None, "inf": np.inf, "nan": np.nan,
        }  # fmt: skip
        self.numbers: dict[str, int] = {}
        self.broken = False

    # names -------------------------------------------------------------------------------------

    def name(self, letter: str) -> str:
        """A new name."""
        self.numbers[letter] = self.numbers.get(letter, -1) + 1
        return f"{letter}{self.numbers[letter]}"

    def tensors(self, wanted: Callable[[Any], bool] = lambda x: True) -> list[str]:
        """The names of living tensors for which ``wanted`` holds, newest last."""
        return [
            name
            for name, x in self.env.items()
            if isinstance(x, rushlight.Tensor) and name[0] != "c" and wanted(x)
        ]

    def pick(self, wanted: Callable[[Any], bool] = lambda x: True) -> str | None:
        """The name of a tensor, rather a new one than an old one."""
        found = self.tensors(wanted)
        if not found:
            return None
        if self.random.random() < 0.5:
            return self.random.choice(found[-4:])
        return self.random.choice(found)

    def floating(self, wanted: Callable[[Any], bool] = lambda x: True) -> str | None:
        """The name of a floating-point tensor."""
        return self.pick(lambda x: x.is_floating_point() and wanted(x))

    def number(self) -> str:
        """A Python number as it stands in a program: constant, changing, or read before."""
        scalars = [n for n, x in self.env.items() if isinstance(x, float) and n[0] == "s"]
        kind = self.random.random()
        if kind < 0.2 and scalars:
            return self.random.choice(scalars)
        if kind < 0.5:
            return self.random.choice(
                ["step", "(0.5 + 0.25 * step)", "0.1 * step", "(step % 3 - 1)", "(1.0 if step % 2 "
                 "else 2)", "-step", "(step * 3_000_000_000)", "(inf if step == 2 else 1)"]
            )  # fmt: skip
        return self.random.choice(["2", "0.5", "-1.5", "3", "1", "0", "1e-3", "True", "-2", "1.0"])

    # making ------------------------------------------------------------------------------------

    def new_leaf(
        self, letter: str, shape: tuple[int, ...], dtype: str = "float32", **options: Any
    ) -> str:
        """A leaf, made at once."""
        made = Leaf(self.name(letter), shape, dtype, self.random.randrange(1 << 16), **options)
        self.leaves.append(made)
        self.env[made.name] = eval(made.source, self.env)
        return made.name

    def indices(self, shape: tuple[int, ...], size: int, negative: bool = True) -> str:
        """A constant of indices along an axis of ``size`` elements."""
        low = -size if negative and self.random.random() < 0.3 else 0
        count = int(np.prod(shape))
        return self.constant(
            shape, "int64", [self.random.randrange(low, size) for _ in range(count)]
        )

    def constant(self, shape: tuple[int, ...], dtype: str, values: list[Any]) -> str:
        """A constant with given contents, made at once."""
        made = Leaf(self.name("c"), shape, dtype, values=values)
        self.leaves.append(made)
        self.env[made.name] = eval(made.source, self.env)
        return made.name

    def assign(
        self, text: str, *operands: str, target: str | None = None, **options: Any
    ) -> str | None:
        """A statement that gives a tensor a name; ``None`` if it is refused."""
        letter = "t"
        name = target or self.name(letter)
        statement = Statement(text, operands, name, **options)
        before = self.env.get(name)
        if not self.attempt(statement):
            return None
        made = self.env[name]
        if not isinstance(made, rushlight.Tensor) or made.numel() > LARGEST or self._useless(made):
            if before is None:
                del self.env[name]
            else:
                self.env[name] = before
            return None
        self.env[name] = self.env.pop(name)  # the newest is the last
        shape, dtype = tuple(made.shape), str(made.dtype).removeprefix("torch.")
        self.body.append(Statement(text, operands, name, shape=shape, dtype=dtype, **options))
        return name

    def act(self, text: str, *operands: str, **options: Any) -> bool:
        """A statement without a result."""
        statement = Statement(text, operands, **options)
        done = self.attempt(statement)
        if done:
            self.body.append(statement)
        return done

    def attempt(self, statement: Statement) -> bool:
        """Whether the library takes the statement now."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(statement.line(), self.env)
        except REFUSALS:
            return False
        except Exception:  # no way to refuse anything: the program ends here, and must be looked at
            self.body.append(statement)
            self.broken = True
            return False
        return True

    def _useless(self, made: Any) -> bool:
        """Whether hardly anything of a result is a number."""
        if made.numel() == 0:
            return self.random.random() < 0.5
        if not made.is_floating_point():
            return False
        finite = made.detach().isfinite().float().mean().item()
        large = made.detach().nan_to_num(0, 0, 0).abs().max().item()
        return (finite < 0.7 and self.random.random() < 0.9) or large > 1e6

    # the whole ---------------------------------------------------------------------------------

    def start(self) -> None:
        """The leaves that are there from the beginning."""
        pick = self.random.choice
        for _ in range(self.random.randrange(2, 5)):
            dtype = pick(
                ["float32"] * 6 + ["float64", "int64", "int32", "uint8", "bool", "bfloat16"]
            )
            low = 0.0 if dtype == "uint8" else -3.0
            self.new_leaf("a", pick(SHAPES), dtype, low=low, high=3.0)
        for _ in range(self.random.randrange(0, 3)):
            dtype = "float64" if self.random.random() < 0.1 else "float32"
            self.new_leaf("w", pick(SHAPES), dtype, grad=True)

    def program(self) -> Program:
        """A program of this seed."""
        weights, phrases = zip(*[PHRASES[name] for name in sorted(PHRASES)], strict=True)
        wanted = self.random.randrange(4, 24)
        with eager():
            rushlight.manual_seed(self.seed % 1000)
            self.start()
            for _ in range(4 * wanted):
                if len(self.body) >= wanted or self.broken:
                    break
                self.random.choices(phrases, weights)[0](self)
            keep = self.keep()
            used = {name for statement in self.body for name in statement.operands} | set(keep)
            leaves = tuple(one for one in self.leaves if one.name[0] in "aw" or one.name in used)
        return Program(
            self.seed, leaves, tuple(self.body), tuple(keep), self.random.choice([4, 6, 6, 6, 8]),
            self.optimizer, self.random.random() < 0.1,
        )  # fmt: skip

    def keep(self) -> list[str]:
        """What a step returns: a few of the living tensors."""
        living = [name for name in self.tensors() if name[0] == "t"]
        share = self.random.choice([0.2, 0.5, 1.0])
        kept = [name for name in living if self.random.random() < share]
        return kept or living[-1:]


def overlapping(x: Any) -> bool:
    """Whether elements of ``x`` may share memory, so that nobody promises what writing does."""
    reach = 0
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return True
            reach += stride * (size - 1)
    return False


def shapes_equal(x: Any, y: Any) -> bool:
    """Whether two tensors have one shape."""
    return tuple(x.shape) == tuple(y.shape)


def broadcast(shapes: Sequence[Any]) -> bool:
    """Whether shapes fit together."""
    try:
        np.broadcast_shapes(*map(tuple, shapes))
    except ValueError:
        return False
    return True


def is_float(name: str) -> bool:
    """Whether a type is a floating-point one."""
    return name in FLOATING
