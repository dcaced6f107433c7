"""Makes a failing program small: statements go, operands become simple, steps become few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.fuzz.programs import Leaf, Program, Statement

#: What stands between the two results of a branch.
BRANCH = " if step % 3 == 2 else "
#: Whether a smaller program still fails the same way.
Fails = Callable[[Program], bool]


def shrink(program: Program, fails: Fails, attempts: int = 600) -> Program:
    """A program that fails like ``program``, as small as so many attempts make it."""
    left = attempts
    changed = True
    while changed and left > 0:
        changed = False
        for smaller in candidates(program):
            left -= 1
            if left <= 0:
                break
            if smaller != program and fails(smaller):
                program, changed = smaller, True
                break
    return program


def candidates(program: Program) -> Iterator[Program]:
    """Smaller programs, the boldest first."""
    yield from _fewer_statements(program)
    yield from _fewer_results(program)
    yield from _plainer_statements(program)
    yield from _fewer_leaves(program)
    if program.optimizer and not any("optimizer" in s.text for s in program.body):
        yield replace(program, optimizer="")
    if program.late:
        yield replace(program, late=False)
    for steps in (1, 2, 3, program.steps - 1):
        if 0 < steps < program.steps:
            yield replace(program, steps=steps)


def _fewer_statements(program: Program) -> Iterator[Program]:
    body = program.body
    size = len(body) // 2
    while size >= 1:
        for start in range(0, len(body), size):
            rest = body[:start] + body[start + size :]
            yield _cut(program, rest)
        size //= 2


def _cut(program: Program, body: tuple[Statement, ...]) -> Program:
    """The program with that body; what it can no longer return is left out."""
    made = {s.target for s in body} | {one.name for one in program.leaves}
    return replace(program, body=body, keep=tuple(n for n in program.keep if n in made))


def _fewer_results(program: Program) -> Iterator[Program]:
    if len(program.keep) > 1:
        for name in program.keep:
            yield replace(program, keep=(name,))
    for name in program.keep:
        yield program.without({name})


def _plainer_statements(program: Program) -> Iterator[Program]:
    """One statement replaced: by a leaf, by one of its operands, without its condition."""
    for index, statement in enumerate(program.body):
        before, after = program.body[:index], program.body[index + 1 :]
        if statement.when or statement.quiet:
            yield replace(program, body=(*before, replace(statement, when=""), *after))
            yield replace(program, body=(*before, replace(statement, quiet=False), *after))
        if BRANCH in statement.text:
            for text in statement.text.split(BRANCH):
                yield replace(program, body=(*before, replace(statement, text=text), *after))
        if statement.target is None or statement.shape is None:
            continue
        if statement.target not in {one.name for one in program.leaves}:
            fresh = Leaf(
                statement.target, statement.shape, statement.dtype or "float32", 1 + 2 * index
            )
            if sum(s.target == statement.target for s in program.body) == 1:
                yield replace(program, leaves=(*program.leaves, fresh), body=(*before, *after))
        for name in dict.fromkeys(statement.operands):
            if statement.text != "{0}":
                plain = replace(statement, text="{0}", operands=(name,))
                yield replace(program, body=(*before, plain, *after))


def _fewer_leaves(program: Program) -> Iterator[Program]:
    used = {name for s in program.body for name in s.operands} | set(program.keep)
    used |= {word for s in program.body for word in s.text.replace("(", " ").split()}
    for one in program.leaves:
        rest = tuple(other for other in program.leaves if other is not one)
        if one.name not in used and one.name not in program.optimizer:
            yield replace(program, leaves=rest)
    for index, one in enumerate(program.leaves):
        if one.grad:
            plain = replace(one, grad=False)
            yield replace(
                program, leaves=(*program.leaves[:index], plain, *program.leaves[index + 1 :])
            )
