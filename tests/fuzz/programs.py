"""What a random program is: leaves, statements of one step, what is looked at; and its source."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

#: Types a program works with.
DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool", "bfloat16")
#: Statements that assign to their first operand.
AUGMENTED = re.compile(r"\{0\} [-+*/]= ")
FLOATING = ("float32", "float64", "bfloat16")


@dataclass(frozen=True)
class Leaf:
    """A tensor that is there before the first step: drawn from a seed, or with given contents."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    seed: int = 0
    low: float = -2.0
    high: float = 2.0
    grad: bool = False
    values: Any = None

    @property
    def source(self) -> str:
        """The expression that makes it."""
        if self.values is not None:
            made = f"torch.tensor({self.values!r}, dtype=torch.{self.dtype})"
            made = f"{made}.reshape({self.shape})"
        else:
            made = (
                f"leaf(torch, {self.seed}, {self.shape}, {self.dtype!r}, {self.low}, {self.high})"
            )
        return f"{made}.requires_grad_()" if self.grad else made


def leaf(torch: Any, seed: int, shape: tuple[int, ...], dtype: str, low: float, high: float) -> Any:
    """A tensor of either library with the same random contents."""
    generator = np.random.default_rng(seed)
    if dtype == "bool":
        return torch.tensor(generator.integers(0, 2, shape).astype(bool))
    numbers = np.asarray(generator.uniform(low, high, shape))
    if dtype in FLOATING:
        if seed % 4 == 0:
            numbers = np.rint(numbers)  # equal elements, exact sums, zeros
        made = torch.tensor(numbers.astype(np.float64 if dtype == "float64" else np.float32))
        return made.to(torch.bfloat16) if dtype == "bfloat16" else made
    numbers = np.asarray(generator.integers(int(low), int(high) + 1, shape))
    return torch.tensor(numbers).to(getattr(torch, dtype))


@dataclass(frozen=True)
class Statement:
    """One line of a step.

    Attributes:
        text: the line's expression, with ``{0}``, ``{1}``, ... where the operands' names stand.
        operands: the names.
        target: what is assigned; ``None`` where the line only does something.
        when: a condition under which the line is run at all.
        quiet: whether it stands in a ``no_grad`` block.
        shape: of the result, if it is one tensor.
        dtype: of that result.
    """

    text: str
    operands: tuple[str, ...] = ()
    target: str | None = None
    when: str = ""
    quiet: bool = False
    shape: tuple[int, ...] | None = None
    dtype: str = ""

    def line(self) -> str:
        """The line of source."""
        body = self.text
        for number, name in enumerate(self.operands):
            body = body.replace(f"{{{number}}}", name)
        if self.target is not None:
            body = f"{self.target} = {body}"
        if self.when:
            body = f"if {self.when}: {body}"
        if self.quiet:
            body = f"with torch.no_grad():\n    {body}"
        return body


@dataclass(frozen=True)
class Program:
    """Leaves, the statements of a step, and what of it is looked at.

    Attributes:
        seed: what it was generated from; also the seed of its random numbers.
        leaves: tensors made before the first step.
        body: the statements of one step.
        keep: what a step returns.
        steps: how many are run.
        optimizer: the expression of an optimizer, called ``optimizer``.
        late: whether results are looked at after the last step only.
    """

    seed: int
    leaves: tuple[Leaf, ...]
    body: tuple[Statement, ...]
    keep: tuple[str, ...]
    steps: int = 6
    optimizer: str = ""
    late: bool = False
    notes: tuple[str, ...] = field(default=(), compare=False)

    def source(self) -> str:
        """The source of ``program(torch, look)``."""
        assigned = {statement.target for statement in self.body}
        assigned |= {s.operands[0] for s in self.body if AUGMENTED.match(s.text)}
        outer = [one.name for one in self.leaves if one.name in assigned]
        lines = ["def program(torch, look):", "    F = torch.nn.functional"]
        lines.append(f"    torch.manual_seed({self.seed % 1000})")
        lines += [f"    {one.name} = {one.source}" for one in self.leaves]
        if self.optimizer:
            lines.append(f"    optimizer = {self.optimizer}")
        lines += ["", "    def run(step):"]
        if outer:
            lines.append(f"        nonlocal {', '.join(outer)}")
        for statement in self.body:
            lines += [f"        {line}" for line in statement.line().split("\n")]
        lines.append(f"        return [{', '.join(self.keep)}]")
        lines += ["", f"    later = [] if {self.late} else None"]
        lines += [f"    for step in range({self.steps}):"]
        lines += ["        later.append(run(step))" if self.late else "        look(*run(step))"]
        lines += ["    for results in later or ():", "        look(*results)"]
        for one in self.leaves:
            lines.append(f"    look({one.name}{f', {one.name}.grad' if one.grad else ''})")
        return "\n".join(lines) + "\n"

    def script(self) -> str:
        """A script that runs the program with rushlight and, where there is one, with PyTorch."""
        notes = "".join(f"# {line}\n" for note in self.notes for line in note.split("\n"))
        return (
            f"# program {self.seed}\n{notes}"
            "import sys\nfrom math import inf, nan\n\nfrom tests.fuzz.programs import leaf\n\n\n"
            f"{self.source()}\n\n"
            'if __name__ == "__main__":\n'
            "    import rushlight\n\n"
            '    torch = __import__("torch") if "torch" in sys.argv else rushlight\n'
            "    program(torch, print)\n"
        )

    def without(self, names: set[str]) -> Program:
        """The same program less some of what it returns."""
        return replace(self, keep=tuple(name for name in self.keep if name not in names))


@dataclass(frozen=True)
class Script:
    """A program that was written to a file."""

    text: str

    def source(self) -> str:
        """The source of ``program(torch, look)``."""
        end = self.text.find("\nif __name__")
        return self.text[: end if end >= 0 else None]
