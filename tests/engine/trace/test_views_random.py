"""Random programs of views and in-place writes, run by rushlight and by PyTorch side by side."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

import rushlight
from tests.fuzz.generator import overlapping

torch = pytest.importorskip("torch", reason="PyTorch (the extra `oracle`) is not installed")

Step = Callable[[Any, Any], Any]  # (library, tensor) -> tensor

#: Errors of PyTorch about writes that rushlight allows, since its saved values never change.
ALLOWED = (
    "modified by an inplace operation",
    "is out of bounds",  # PyTorch has written some elements before it finds out
    "modified inplace",
    "refer to a single memory location",
    "multiple views",
    "is a view and its base or another view",
    "A view was created in no_grad mode",
    "is a view of a tensor that requires gradient, and is being modified in-place",
)


class Pair:
    """The same tensor in both libraries."""

    def __init__(self, mine: Any, theirs: Any) -> None:
        self.mine = mine
        self.theirs = theirs


class Difference(AssertionError):
    """The libraries differ; the message holds the program."""


class Runner:
    """One random program: tensors so far, and the words for what was done to them."""

    def __init__(self, seed: int, grad: bool) -> None:
        self.random = Random(seed)
        self.grad = grad
        self.lines: list[str] = []
        self.tensors: list[Pair] = []
        self.leaves: list[Pair] = []
        for _ in range(2):
            self.new_leaf()

    # making tensors ----------------------------------------------------------------------------

    def new_leaf(self) -> None:
        shape = self.random.choice([(6,), (2, 3), (3, 4), (2, 3, 2), (4, 1), (2, 2, 3)])
        array = np.random.default_rng(self.random.randrange(1 << 30)).integers(-4, 5, shape)
        array = array.astype(np.float32)
        wants = self.grad and self.random.random() < 0.8
        pair = Pair(
            rushlight.tensor(array, requires_grad=wants), torch.tensor(array, requires_grad=wants)
        )
        self.leaves.append(pair)
        self.lines.append(f"t{len(self.tensors)} = leaf{shape}, requires_grad={wants}")
        self.tensors.append(pair)
        if wants:  # a leaf itself must not be written to
            self.apply(pair, "clone()", lambda lib, x: x * 1.0)

    def apply(self, pair: Pair, words: str, step: Step) -> None:
        """Do one step in both libraries and keep the result."""
        number = self.number(pair)
        self.lines.append(f"t{len(self.tensors)} = t{number}.{words}")
        results = []
        for library, tensor in ((rushlight, pair.mine), (torch, pair.theirs)):
            try:
                results.append(step(library, tensor))
            except (RuntimeError, IndexError, ValueError, TypeError) as error:
                results.append(error)
        mine, theirs = results
        if isinstance(theirs, Exception):
            if any(words in str(theirs) for words in ALLOWED):
                raise Skip
            if not isinstance(mine, Exception):
                self.fail(f"PyTorch refuses: {theirs}")
            if type(mine) is not type(theirs):
                self.fail(f"{type(mine).__name__} {mine}; PyTorch: {theirs}")
            self.lines[-1] += "  # refused"
            return
        if isinstance(mine, Exception):
            if "single memory location" in str(mine):  # PyTorch only warns of index_put_
                raise Skip
            self.fail(f"{type(mine).__name__}: {mine}")
        self.tensors.append(Pair(mine, theirs))

    def number(self, pair: Pair) -> int:
        return self.tensors.index(pair)

    def fail(self, message: str) -> None:
        raise Difference("\n".join([*self.lines, message]))

    # steps -------------------------------------------------------------------------------------

    def step(self) -> None:
        pair = self.random.choice(self.tensors[-8:])
        kind = self.random.random()
        if kind < 0.45:
            self.apply(pair, *self.view(pair.theirs))
        elif kind < 0.8:
            self.apply(pair, *self.write(pair.theirs))
        elif kind < 0.93:
            self.apply(pair, *self.pure(pair.theirs))
        else:
            self.lines.append(f"t{self.number(pair)}.tolist()")
            pair.mine.tolist()

    def axis(self, x: Any) -> int:
        return self.random.randrange(-x.ndim, x.ndim) if x.ndim else 0

    def item(self, size: int) -> Any:
        """One place of a basic index."""
        kind = self.random.random()
        if kind < 0.35 and size:
            return self.random.randrange(-size, size)
        if kind < 0.5:
            return None
        start = self.random.choice([None, 0, 1, -2])
        stop = self.random.choice([None, None, 2, -1, 5])
        return slice(start, stop, self.random.choice([None, 1, 2]))

    def index(self, x: Any) -> Any:
        items = []
        for size in x.shape[: self.random.randrange(0, x.ndim + 1)]:
            items.append(self.item(size))
        if self.random.random() < 0.3:
            items.append(...)
        return tuple(items)

    def view(self, x: Any) -> tuple[str, Step]:
        """A random view of ``x``."""
        a, b = self.axis(x), self.axis(x)
        size = x.shape[a] if x.ndim else 1
        at = self.random.randrange(max(size, 1))
        index = self.index(x)
        order = list(range(x.ndim))
        self.random.shuffle(order)
        part = self.random.randrange(1, size + 1) if size else 0
        views: list[tuple[str, Step]] = [
            (f"__getitem__({index})", lambda lib, t: t[index]),
            (f"__getitem__({index})", lambda lib, t: t[index]),
            (f"transpose({a}, {b})", lambda lib, t: t.transpose(a, b)),
            (f"permute({order})", lambda lib, t: t.permute(order)),
            (f"select({a}, {at})", lambda lib, t: t.select(a, at)),
            (f"narrow({a}, 0, {part})", lambda lib, t: t.narrow(a, 0, part)),
            (f"unsqueeze({a})", lambda lib, t: t.unsqueeze(a)),
            ("squeeze()", lambda lib, t: t.squeeze()),
            ("view(-1)", lambda lib, t: t.view(-1)),
            ("reshape(2, -1)", lambda lib, t: t.reshape(2, -1)),
            ("flatten()", lambda lib, t: t.flatten()),
            ("T", lambda lib, t: t.permute(*range(t.ndim - 1, -1, -1))),
            (f"expand(2, {tuple(x.shape)})", lambda lib, t: t.expand(2, *t.shape)),
            (f"diagonal(0, {a}, {b})", lambda lib, t: t.diagonal(0, a, b)),
            (f"unfold({a}, {part}, 2)", lambda lib, t: t.unfold(a, part, 2)),
            (f"chunk(2, {a})[-1]", lambda lib, t: t.chunk(2, a)[-1]),
            (f"unbind({a})[0]", lambda lib, t: t.unbind(a)[0]),
            (f"split({part}, {a})[0]", lambda lib, t: t.split(part, a)[0]),
            ("detach()", lambda lib, t: t.detach()),
            ("view_as(self)", lambda lib, t: t.view_as(t)),
        ]
        if x._base is None or not self.grad:  # PyTorch forgets gradients outside of the view
            views.append(
                ("as_strided((2, 2), (2, 1))", lambda lib, t: t.as_strided((2, 2), (2, 1)))
            )
        return self.random.choice(views)

    def write(self, x: Any) -> tuple[str, Step]:
        """A random in-place operation on ``x``."""
        if overlapping(x):
            raise Skip  # what it means is nobody's promise
        number = self.random.randrange(1, 4)
        index = self.index(x)
        same = [
            p
            for p in self.tensors
            if p.theirs is x or (p.theirs.shape == x.shape and not share(p.theirs, x))
        ]
        other = self.random.choice(same) if same else self.tensors[0]
        name = f"t{self.number(other)}"
        rows = [self.random.randrange(-2, 2) for _ in range(2)]

        def set_item(lib: Any, t: Any) -> Any:
            t[index] = float(number)
            return t

        def add_item(lib: Any, t: Any) -> Any:
            t[index] += number
            return t

        def set_rows(lib: Any, t: Any) -> Any:
            t[lib.tensor(rows)] = float(number)
            return t

        def set_masked(lib: Any, t: Any) -> Any:
            t[t > number] = 0.5
            return t

        def theirs_or_mine(lib: Any) -> Any:
            return other.mine if lib is rushlight else other.theirs

        writes: list[tuple[str, Step]] = [
            (f"add_({number})", lambda lib, t: t.add_(number)),
            (f"mul_({number})", lambda lib, t: t.mul_(number)),
            ("zero_()", lambda lib, t: t.zero_()),
            (f"copy_({name})", lambda lib, t: t.copy_(theirs_or_mine(lib))),
            (f"add_({name})", lambda lib, t: t.add_(theirs_or_mine(lib))),
            (f"__setitem__({index}, {number})", set_item),
            (f"__setitem__({index}, {number})", set_item),
            (f"__iadd__ at {index}", add_item),
            (f"__setitem__({rows})", set_rows),
            (f"masked above {number}", set_masked),
            ("t_()", lambda lib, t: t.t_()),
            ("unsqueeze_(0)", lambda lib, t: t.unsqueeze_(0)),
            ("squeeze_()", lambda lib, t: t.squeeze_()),
        ]
        if self.random.random() < 0.15:
            words, step = self.random.choice(writes[:-3])  # a leaf's shape had better stay

            def quietly(lib: Any, t: Any) -> Any:
                with lib.no_grad():
                    return step(lib, t)

            return f"no_grad {words}", quietly
        return self.random.choice(writes)

    def pure(self, x: Any) -> tuple[str, Step]:
        """A random operation that makes new memory."""
        index = [self.random.randrange(-1, 2) for _ in range(3)]
        pures: list[tuple[str, Step]] = [
            ("mul(2)", lambda lib, t: t * 2),
            ("clone()", lambda lib, t: t.clone()),
            ("contiguous()", lambda lib, t: t.contiguous()),
            ("add(self)", lambda lib, t: t + t),
            ("cat(self, self)", lambda lib, t: lib.cat([t, t])),
            (f"__getitem__({index})", lambda lib, t: t[index]),
        ]
        return self.random.choice(pures)

    # comparing ---------------------------------------------------------------------------------

    def compare(self) -> None:
        for number, pair in enumerate(self.tensors):
            mine, theirs = pair.mine, pair.theirs
            what = f"t{number}: "
            self.equal(what + "shape", tuple(mine.shape), tuple(theirs.shape))
            if theirs.numel():
                self.equal(what + "stride", *map(steps, (mine, theirs)))
                self.equal(what + "offset", mine.storage_offset(), theirs.storage_offset())
            self.equal(what + "contiguous", mine.is_contiguous(), theirs.is_contiguous())
            self.equal(what + "requires_grad", mine.requires_grad, theirs.requires_grad)
            self.equal(what + "leaf", mine.is_leaf, theirs.is_leaf)
            self.equal(what + "values", mine.tolist(), theirs.tolist())
        self.compare_sharing()

    def compare_sharing(self) -> None:
        for i, first in enumerate(self.tensors):
            for j, second in enumerate(self.tensors[:i]):
                if not first.theirs.numel() or not second.theirs.numel():
                    continue
                shared = share(first.theirs, second.theirs)
                mine = first.mine is second.mine or (
                    first.mine._alias is not None and first.mine._alias is second.mine._alias
                )
                self.equal(f"t{i} and t{j} share memory", mine, shared)

    def equal(self, what: str, mine: Any, theirs: Any) -> None:
        if mine != theirs:
            self.fail(f"{what}\n  rushlight {mine}\n  PyTorch   {theirs}")

    def compare_gradients(self) -> None:
        losses = []
        for side in ("mine", "theirs"):
            parts = []
            for number, pair in enumerate(self.tensors):
                tensor = getattr(pair, side)
                if tensor.requires_grad and tensor.numel():
                    parts.append((tensor * float(number % 5 + 1)).sum())
            losses.append(sum(parts[1:], parts[0]) if parts else None)
        if losses[1] is None:
            return
        try:
            losses[1].backward()
        except RuntimeError as error:  # PyTorch's own mistake after t_() has an invalid shape
            if any(words in str(error) for words in (*ALLOWED, "returned an invalid gradient")):
                raise Skip from None
            raise
        losses[0].backward()
        for number, leaf in enumerate(self.leaves):
            grads = [leaf.mine.grad, leaf.theirs.grad]
            self.equal(
                f"gradient of leaf {number}", *[None if g is None else g.tolist() for g in grads]
            )


def steps(x: Any) -> list[int]:
    """The strides of the axes that have several elements (the others never matter)."""
    return [stride for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1]


def share(x: Any, y: Any) -> bool:
    """Whether two tensors of PyTorch look at the same storage."""
    return bool(x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr())


class Skip(Exception):
    """PyTorch refuses a program that rushlight runs."""


def run(seed: int, grad: bool, steps: int = 14) -> bool:
    """Whether the program of this seed could be compared to its end."""
    runner = Runner(seed, grad)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(steps):
                runner.step()
            runner.compare()
            if grad:
                runner.compare_gradients()
    except Skip:
        return False
    except RuntimeError as error:  # PyTorch's own, when a stale view is looked at
        if any(words in str(error) for words in ALLOWED):
            return False
        raise
    return True


@pytest.mark.parametrize("start", range(0, 600, 100))
def test_values_strides_and_sharing(start: int) -> None:
    compared = sum(run(seed, grad=False) for seed in range(start, start + 100))
    assert compared > 50


@pytest.mark.parametrize("start", range(1000, 1800, 100))
def test_gradients(start: int) -> None:
    compared = sum(run(seed, grad=True) for seed in range(start, start + 100))
    assert compared > 30
