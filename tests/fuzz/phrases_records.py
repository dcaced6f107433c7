"""Phrases drawn from the operator records: no second list of operators is needed."""

from __future__ import annotations

from functools import cache

import numpy as np

from rushlight.engine.ir.samples import BINARY, UNARY, Sample, T
from tests.fuzz.generator import Generator, broadcast, phrase
from tests.ops.harness import Face, draw, dtype_for, faces

#: Operators a program is not made of.
LEFT_OUT = {
    "Tensor.H", "Tensor.as_strided_", "as_strided", "as_strided_scatter", "Tensor.__ipow__",
    "empty_like", "nn.functional.multi_head_attention_forward", "linalg.eig", "linalg.svd", "svd",
    "linalg.eigvals", "qr", "linalg.qr", "linalg.eigh", "symeig",  # signs of vectors are free
}  # fmt: skip


def expression(face: Face, arguments: str) -> str:
    """The source of a call."""
    if face.name.startswith("Tensor."):
        first, _, rest = arguments.partition(", ")
        method = face.name.removeprefix("Tensor.")
        if face.record.method_name != method:
            return f"{first}.{method}"
        return f"{first}.{method}({rest})"
    return f"torch.{face.name}({arguments})"


@cache
def pointwise_faces() -> tuple[tuple[Face, int], ...]:
    """Operators that take one or two tensors element by element, with how many."""
    found = []
    for face in faces():
        samples = set(map(repr, face.samples))
        if face.writes or face.name in LEFT_OUT:
            continue
        for count, known in ((1, UNARY[0]), (2, BINARY[1])):
            if repr(known) in samples:
                found.append((face, count))
    return tuple(found)


@cache
def sampled_faces() -> tuple[Face, ...]:
    """Operators with samples that can be written down."""
    return tuple(f for f in faces() if f.name not in LEFT_OUT and f.samples and not f.writes)


@phrase(10)
def element_by_element(g: Generator) -> None:
    """A pointwise operator on tensors of the program."""
    face, count = g.random.choice(pointwise_faces())
    x = g.pick() if g.random.random() < 0.3 else g.floating()
    if x is None:
        return
    tensor = g.env[x]
    if count == 1:
        g.assign(expression(face, "{0}"), x)
        return
    y = g.pick(lambda t: broadcast([t.shape, tensor.shape]) and t.dtype == tensor.dtype) or x
    g.assign(expression(face, "{0}, {1}"), x, y)


@phrase(4)
def sampled(g: Generator) -> None:
    """Any operator, called as a sample of its record says, on tensors of the program that fit."""
    face = g.random.choice(sampled_faces())
    sample = g.random.choice(face.samples)
    if not sample.oracle:
        return
    operands: list[str] = []
    text = _arguments(g, sample, operands)
    if text is None or not operands:
        return
    call = expression(face, text)
    if g.assign(call, *operands) is None:
        g.assign(f"({call})[0]", *operands)


def _arguments(g: Generator, sample: Sample, operands: list[str]) -> str | None:
    parts = [_put(g, part, operands) for part in sample.args]
    parts += [f"{name}={_put(g, part, operands)}" for name, part in sample.kwargs.items()]
    return None if any("<" in part for part in parts) else ", ".join(parts)


def _put(g: Generator, part: object, operands: list[str]) -> str:
    """An argument as it is written; operands are entered on the way."""
    if isinstance(part, T):
        operands.append(_operand(g, part))
        return f"{{{len(operands) - 1}}}"
    if type(part) in (list, tuple):
        inner = ", ".join(_put(g, one, operands) for one in part)  # type: ignore[attr-defined]
        return f"[{inner}]" if type(part) is list else f"({inner}{',' if inner else ''})"
    return str(part) if type(part).__name__ == "dtype" else repr(part)


def _operand(g: Generator, t: T) -> str:
    """A tensor of the program that fits a sample's, or a new leaf with the sample's contents."""
    plain = t.values is None and t.kind == "float" and t.dtype is None
    if plain and g.random.random() < 0.7:
        found = g.floating(lambda x: tuple(x.shape) == t.shape and str(x.dtype) == "torch.float32")
        if found is not None and (t.low < 0 or g.random.random() < 0.3):
            return found
    if t.kind == "float" and t.values is None:
        grad = t.grad and g.random.random() < 0.4
        dtype = t.dtype or "float32"
        return g.new_leaf("w" if grad else "a", t.shape, dtype, low=t.low, high=t.high, grad=grad)
    if t.kind in ("complex", "any"):
        return g.new_leaf("a", t.shape, low=t.low, high=t.high)
    name = dtype_for(t, "float32")
    seed = g.random.randrange(1 << 16)
    from_sample = draw(t, name, np.random.default_rng(seed))
    values = from_sample.reshape(-1).tolist()
    return g.constant(t.shape, name, values)
