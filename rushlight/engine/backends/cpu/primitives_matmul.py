"""Matrix products as primitives of compiled programs."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.onednn_matmul import Operand, simplify
from rushlight.engine.backends.cpu.onednn_prepared import Port
from rushlight.engine.backends.cpu.onednn_primitive import (
    Description,
    Descriptor,
    attributes_for,
    contiguous_strides,
    strided,
)
from rushlight.engine.backends.cpu.primitives_recipe import (
    SINGLE,
    Epilogue,
    Part,
    Recipe,
    split,
)
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Spec

Sizes = tuple[int, ...]

#: How a factor is seen as matrices: sizes and strides from the sizes and strides it has;
#: ``None`` if it has to lie contiguously for that.
Look = Callable[[Sizes, Sizes], "tuple[Sizes, Sizes] | None"]

#: Multiplications from which a product in bfloat16 is oneDNN's; smaller ones are faster in float32.
#: In microseconds on one core of a Zen 5 processor, bfloat16 / float32: 32x64x32: 3.3 / 2.2;
#: 64x128x128: 7.4 / 24; 128x512x512: 143 / 281; 512x1024x1024: 2150 / 4330.
LEAST_HALF = 100_000


def _as_is(shape: Sizes, strides: Sizes) -> tuple[Sizes, Sizes]:
    return shape, strides


def _turned(shape: Sizes, strides: Sizes) -> tuple[Sizes, Sizes]:
    return (*shape[:-2], shape[-1], shape[-2]), (*strides[:-2], strides[-1], strides[-2])


def _row(shape: Sizes, strides: Sizes) -> tuple[Sizes, Sizes]:
    return (1, *shape), (shape[0] * strides[0], *strides)


def _column(shape: Sizes, strides: Sizes) -> tuple[Sizes, Sizes]:
    return (*shape, 1), (*strides, 1)


def _flat(shape: Sizes, strides: Sizes) -> tuple[Sizes, Sizes] | None:
    """Leading axes as rows of one matrix."""
    if len(shape) == 1:
        return _row(shape, strides)
    rows, step = 1, strides[-2]
    for size, stride in zip(shape[-2::-1], strides[-2::-1], strict=True):
        if size > 1 and rows > 1 and stride != step * rows:
            return None
        if rows == 1:
            step = stride
        rows *= size
    return (rows, shape[-1]), (step, strides[-1])


def _flat_turned(shape: Sizes, strides: Sizes) -> tuple[Sizes, Sizes] | None:
    seen = _flat(shape, strides)
    return None if seen is None else _turned(*seen)


class _Factor:
    """A factor as oneDNN sees it, perhaps after a copy."""

    __slots__ = ("meta", "shape", "staged", "strides")

    def __init__(self, meta: Meta, look: Look) -> None:
        shape = tuple(meta.shape)
        self.meta = meta
        self.staged = False
        seen = look(shape, tuple(meta.strides))
        if seen is None or not _describable(*seen):
            self.staged = True
            seen = look(shape, contiguous_strides(shape))
        assert seen is not None
        self.shape, self.strides = seen

    def operand(self, ndim: int) -> Operand:
        """The factor among others with this many dimensions."""
        return Operand(self.shape, self.strides, ndim)

    def port(self, kind: int, seen: Descriptor) -> Port:
        """Its array, to be seen by oneDNN in this way."""
        shape, strides, type_ = self.meta.shape, self.meta.strides, self.meta.dtype.numpy
        staged = None
        if self.staged:
            staged = strided(shape, type_, strides), strided(shape, type_)
        return Port(kind, shape, type_, strides=strides, descriptor=seen, staged=staged)


def _describable(shape: Sizes, strides: Sizes) -> bool:
    try:
        Operand(shape, strides, len(shape)).describe(SINGLE)
    except onednn.Unsupported:
        return False
    return True


def prefers_gemm(a: Operand, b: Operand) -> bool:
    """Whether oneDNN's older code is faster than its blocked one.

    In microseconds on one core of a Zen 5 processor, blocked / older, execution included:

    - a column, 512x512x1: 37 / 11; 64x64x1: 0.88 / 0.50
    - few rows by a transposed matrix, 4x256x120: 3.4 / 2.2; 1x768x768: 64 / 25;
      8x300x300: 11.4 / 9.8, but 16x300x300: 16.7 / 17.7 and 4x84x10: 0.47 / 0.50
    - one row, 1x300x300: 3.9 / 2.4, but 1x64x64: 0.38 / 0.42
    - lines of 1024 bytes or a multiple, which share cache sets: 8x512x512: 35 / 19;
      32x512x512: 164 / 68; 16x256x1024: 52 / 38; without that, 24x1000x100: 21.2 / 21.8
    """
    (m, k), n = a.shape, b.shape[1]
    if n == 1:
        return m > 1
    if k * n < 8192:
        return False
    if b.strides[1] != 1:
        return m <= 8
    return m == 1 or (m <= 64 and n % 256 == 0 and k >= 128)


def descriptions(
    arguments: tuple[Descriptor | None, ...], steps: Epilogue, gemm: bool
) -> Callable[[], Description]:
    """Makes the description of a product, with oneDNN's older code if that is better."""
    attributes = attributes_for(steps) if steps else None

    def describe() -> Description:
        made = Description("matmul", *arguments, attributes=attributes)
        while gemm and not made.implementation.startswith("gemm"):
            if not made.advance():
                made = Description("matmul", *arguments, attributes=attributes)
                break
        return made.require_fast()

    return describe


class _Product:
    """A product being described: its operands as oneDNN sees them.

    Args:
        spec: the operator.
        factors: for both factors the number of the input and how it is seen as matrices.
        shape: of the result, seen as matrices.
        bias: the number of an input that is added first.
        epilogue: what follows.
    """

    def __init__(
        self,
        spec: Spec,
        factors: tuple[tuple[int, Look], tuple[int, Look]],
        shape: Sizes,
        bias: int | None,
        epilogue: Epilogue,
    ) -> None:
        self.spec = spec
        self.shape = shape
        self.type = spec.out.dtype.numpy
        self.factors = [_Factor(_meta(spec, number), look) for number, look in factors]
        numbers = [number for number, _ in factors]
        self.bias: Part | None = None
        steps = epilogue
        if bias is not None:
            meta = _meta(spec, bias)
            self.bias = bias, meta
            if tuple(meta.shape) != shape[-1:]:
                self.bias, steps = None, (("add", meta), *epilogue)
        self.steps, self.given = steps, epilogue
        self.arrays = split(steps)[0]
        first_array = len(spec.inputs)
        self.numbers = list(range(first_array, first_array + len(self.arrays)))
        if bias is not None and self.bias is None:
            self.numbers = [bias, *self.numbers[:-1]]
        self.inputs: list[Part] = [
            (number, factor.meta) for number, factor in zip(numbers, self.factors, strict=True)
        ]

    def operands(self) -> list[Operand]:
        """Factors, product and what broadcasts with it, as simple as they can be."""
        ndim = len(self.shape)
        made = [factor.operand(ndim) for factor in self.factors]
        made.append(Operand(self.shape, contiguous_strides(self.shape), ndim))
        column = self.spec.out.ndim == 1 and self.shape[-1] == 1 and self.shape[0] > 1
        for meta in self.arrays:
            shape, strides = tuple(meta.shape), tuple(meta.strides)
            if column and shape:
                shape, strides = (*shape, 1), (*strides, 1)
            operand = Operand(shape, strides, ndim)
            operand.shape = [
                size if step else 1
                for size, step in zip(operand.shape, operand.strides, strict=True)
            ]
            operand.strides = [
                step if size > 1 else 0
                for size, step in zip(operand.shape, contiguous_strides(operand.shape), strict=True)
            ]
            made.append(operand)
        simplify(made)
        return made

    def recipe(self) -> Recipe:
        """How to make it.

        Raises:
            Unsupported: oneDNN has no fast code for it.
        """
        if self.type != SINGLE:
            self._require_large()
        operands = self.operands()
        a, b, y = operands[:3]
        swapped = y.shape[-1] == 1 and len(y.shape) > 2
        if swapped:  # no fast code for batches of columns, but of rows: (a b)ᵀ = bᵀ aᵀ
            for operand in operands:
                operand.transpose()
        kinds = [onednn.SRC, onednn.WEIGHTS]
        seen = [a.describe(self.type), b.describe(self.type)]
        ports = [
            factor.port(kind, descriptor)
            for factor, kind, descriptor in zip(
                self.factors, reversed(kinds) if swapped else kinds, seen, strict=True
            )
        ]
        inputs = list(self.inputs)
        bias: Descriptor | None = None
        if self.bias is not None:
            inputs.append(self.bias)
            meta = self.bias[1]
            bias = strided([1] * (len(y.shape) - 1) + [meta.shape[0]], self.type)
            ports.append(_array(onednn.BIAS, meta, bias))
        steps = self._follow(operands[3:], ports, inputs)
        result = strided(y.shape, self.type)
        out = self.spec.out
        ports.append(Port(onednn.DST, out.shape, self.type, output=True, descriptor=result))
        gemm = len(y.shape) == 2 and self.type == SINGLE and prefers_gemm(a, b)
        factors = (seen[1], seen[0]) if swapped else (seen[0], seen[1])
        describe = descriptions((*factors, bias, result), steps, gemm)
        cost = self._microseconds()
        made = Recipe(describe, ports, inputs, [(0, out)], cost, split(self.steps)[1])
        made.describe()
        return made

    def _follow(self, operands: list[Operand], ports: list[Port], inputs: list[Part]) -> Epilogue:
        """The epilogue for oneDNN; its arrays are added to the ports."""
        steps = []
        arrays = list(zip(operands, self.arrays, self.numbers, strict=True))
        for position, step in enumerate(self.steps):
            if step[0] not in ("add", "mul"):
                steps.append(step)
                continue
            operand, meta, number = arrays.pop(0)
            descriptor = strided(operand.shape, self.type)
            steps.append((step[0], descriptor))
            kind = onednn.POST_OPERATION * (position + 1) | onednn.SECOND_SOURCE
            ports.append(_array(kind, meta, descriptor))
            inputs.append((number, meta))
        return tuple(steps)

    def _microseconds(self) -> float:
        inner = self.factors[0].shape[-1]
        moved = prod(self.shape) + sum(factor.meta.numel for factor in self.factors)
        return threads.cost(2 * prod(self.shape) * inner, self.type.itemsize * moved)

    def _require_large(self) -> None:
        """Small products of half types are left to float32; so are those something follows,
        because it has to see the rounded product."""
        if prod(self.shape) * self.factors[0].shape[-1] < LEAST_HALF or self.given:
            raise onednn.Unsupported("a small product of a half type, or something after it")


def _array(kind: int, meta: Meta, seen: Descriptor) -> Port:
    """An array that is added or multiplied, copied first if it does not lie contiguously."""
    type_ = meta.dtype.numpy
    shape = tuple(size if step else 1 for size, step in zip(meta.shape, meta.strides, strict=True))
    plain = contiguous_strides(shape)
    rows = zip(shape, meta.strides, plain, strict=True)
    staged = None
    if any(size > 1 and have != want for size, have, want in rows):
        rows = zip(shape, meta.strides, plain, strict=True)
        steps = [have if size > 1 else want for size, have, want in rows]
        staged = strided(shape, type_, steps), strided(shape, type_)
    return Port(kind, meta.shape, type_, strides=meta.strides, descriptor=seen, staged=staged)


def _meta(spec: Spec, number: int) -> Meta:
    found = spec.inputs[number]
    assert found is not None
    return found


def rows_recipe(spec: Spec, epilogue: Epilogue, transposed: bool) -> Recipe:
    """``x W`` or ``x Wᵀ`` with any number of leading axes."""
    x = _meta(spec, 0)
    look = _row if x.ndim == 1 else _as_is
    second = _turned if transposed else _as_is
    shape = tuple(spec.out.shape) if x.ndim > 1 else (1, *spec.out.shape)
    return _Product(spec, ((0, look), (1, second)), shape, None, epilogue).recipe()


def nn_recipe(spec: Spec, epilogue: Epilogue) -> Recipe:
    """``x W``."""
    return rows_recipe(spec, epilogue, False)


def nt_recipe(spec: Spec, epilogue: Epilogue) -> Recipe:
    """``x Wᵀ``."""
    return rows_recipe(spec, epilogue, True)


def tn_recipe(spec: Spec, epilogue: Epilogue) -> Recipe:
    """``xᵀ y``, leading axes being rows."""
    shape = tuple(spec.out.shape)
    return _Product(spec, ((0, _flat_turned), (1, _flat)), shape, None, epilogue).recipe()


def linear_recipe(spec: Spec, epilogue: Epilogue) -> Recipe:
    """``x Wᵀ + b``."""
    x = _meta(spec, 1)
    look = _row if x.ndim == 1 else _as_is
    shape = tuple(spec.out.shape) if x.ndim > 1 else (1, *spec.out.shape)
    return _Product(spec, ((1, look), (2, _turned)), shape, 0, epilogue).recipe()


def product_recipe(spec: Spec, epilogue: Epilogue) -> Recipe:
    """The product of two matrices, or of two batches of them."""
    shape = tuple(spec.out.shape)
    return _Product(spec, ((0, _as_is), (1, _as_is)), shape, None, epilogue).recipe()


def batched_recipe(spec: Spec, epilogue: Epilogue, transpose1: bool, transpose2: bool) -> Recipe:
    """Batches of products, with either factor transposed."""
    if min(_meta(spec, 0).ndim, _meta(spec, 1).ndim) < 2:
        raise onednn.Unsupported("a factor without rows and columns")
    first, second = _turned if transpose1 else _as_is, _turned if transpose2 else _as_is
    shape = tuple(spec.out.shape)
    return _Product(spec, ((0, first), (1, second)), shape, None, epilogue).recipe()


def mv_recipe(spec: Spec, epilogue: Epilogue) -> Recipe:
    """A matrix and a vector."""
    shape = (*spec.out.shape, 1)
    return _Product(spec, ((0, _as_is), (1, _column)), shape, None, epilogue).recipe()


#: Elements up to which oneDNN multiplies two vectors in one call: 1000 take 1.2 microseconds,
#: 100 000 take 160, ten times what it takes to read them.
LONGEST_DOT = 8192


def dot_recipe(spec: Spec, epilogue: Epilogue) -> Recipe:
    """The product of two vectors."""
    if _meta(spec, 0).numel > LONGEST_DOT:
        raise onednn.Unsupported("vectors of that length")
    return _Product(spec, ((0, _row), (1, _column)), (1, 1), None, epilogue).recipe()
