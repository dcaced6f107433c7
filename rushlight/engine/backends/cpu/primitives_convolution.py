"""Convolutions and their gradients as primitives of compiled programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_convolution import (
    BACKWARD_DATA,
    BACKWARD_WEIGHTS,
    BLOCKED,
    CHANNELS_LAST,
    FORWARD,
    Geometry,
    choose_layout,
    describe,
)
from rushlight.engine.backends.cpu.onednn_prepared import Port
from rushlight.engine.backends.cpu.onednn_primitive import (
    FUNCTIONS,
    Description,
    any_layout,
    attributes_for,
    channels_last_strides,
    contiguous_strides,
    strided,
)
from rushlight.engine.backends.cpu.primitives_columns import Columns, pays
from rushlight.engine.backends.cpu.primitives_recipe import (
    SINGLE,
    Assembled,
    Epilogue,
    Part,
    Recipe,
    split,
)
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import Spec


def _same_places(shape: Sequence[int], one: Sequence[int], other: Sequence[int]) -> bool:
    return all(a == b for n, a, b in zip(shape, one, other, strict=True) if n > 1)


def _channels_last(*metas: Meta) -> bool:
    """Whether the channels of an array lie innermost (and both layouts are not the same)."""
    return any(
        _same_places(m.shape, m.strides, channels_last_strides(m.shape))
        and not _same_places(m.shape, m.strides, contiguous_strides(m.shape))
        for m in metas
    )


def _tidy(meta: Meta, last: bool) -> tuple[int, ...]:
    """Its strides, those of axes of size one as in the usual layouts."""
    shape = tuple(meta.shape)
    usual = [contiguous_strides(shape), channels_last_strides(shape)]
    if last:
        usual.reverse()
    return next((u for u in usual if _same_places(shape, meta.strides, u)), tuple(meta.strides))


def _port(kind: int, meta: Meta, layout: str, output: bool = False) -> Port:
    strides = _tidy(meta, layout == CHANNELS_LAST)
    return Port(kind, meta.shape, SINGLE, output, strides=strides)


def _weights(kind: int, meta: Meta, geometry: Geometry, output: bool = False) -> Port:
    steps = meta.strides
    seen = geometry.w_descriptor(steps)
    return Port(kind, meta.shape, SINGLE, output, strides=steps, descriptor=seen)


def _meta(spec: Spec, number: int) -> Meta:
    found = spec.inputs[number]
    assert found is not None
    return found


class _Steps:
    """What follows a convolution, for oneDNN, with the arrays it reads."""

    def __init__(self, spec: Spec, epilogue: Epilogue) -> None:
        self.steps: list[tuple[Any, ...]] = []
        self.ports: list[Port] = []
        self.parts: list[Part] = []
        shape = tuple(spec.out.shape)
        for position, step in enumerate(epilogue):
            if step[0] not in ("add", "mul"):
                self.steps.append(step)
                continue
            meta: Meta = step[1]
            lacking = len(shape) - meta.ndim
            size = (1,) * lacking + tuple(meta.shape)
            strides = (0,) * lacking + tuple(meta.strides)
            seen = tuple(n if s else 1 for n, s in zip(size, strides, strict=True))
            plain = contiguous_strides(seen)
            steps = [s if n > 1 else p for n, s, p in zip(seen, strides, plain, strict=True)]
            outside = strided(seen, SINGLE, steps)
            self.steps.append((step[0], any_layout(seen, SINGLE) if seen == shape else outside))
            kind = onednn.POST_OPERATION * (position + 1) | onednn.SECOND_SOURCE
            self.ports.append(
                Port(kind, meta.shape, SINGLE, strides=meta.strides, descriptor=outside)
            )
            self.parts.append((len(spec.inputs) + len(self.parts), meta))


def _recipe(
    geometry: Geometry,
    direction: str,
    bias: bool,
    ports: Callable[[str], list[Port]],
    parts: tuple[list[Part], list[Part]],
    epilogue: Epilogue = (),
    follow: _Steps | None = None,
    packed: Sequence[int] = (),
) -> Recipe:
    """In the layout that pays, or where oneDNN lacks that, in its own choice.

    Args:
        ports: the arrays, for a layout inside.
        packed: the numbers of inputs that the caller has in oneDNN's layout.
    """
    geometry.check()
    found = None if packed else _as_product(geometry, direction, bias, parts, epilogue)
    if found is not None:
        return found
    images = [meta for _, meta in (parts[0][0], *parts[0][1:2], parts[1][0])]
    images = [m for m in images if tuple(m.shape) in (geometry.x_shape, geometry.y_shape)]
    chosen = choose_layout(geometry, direction)
    if any(_channels_last(meta) for meta in images):
        chosen = CHANNELS_LAST
    for layout in dict.fromkeys((chosen, BLOCKED)):
        attributes = attributes_for(follow.steps) if follow is not None and epilogue else None

        def make(layout: str = layout, attributes: Any = attributes) -> Description:
            return describe(geometry, direction, bias, layout, attributes)

        arrays = ports(layout)
        for port, (number, _) in zip(arrays, parts[0], strict=False):
            port.packed = number in packed
        made = Recipe(make, arrays, *parts, geometry.microseconds, split(epilogue)[1])
        try:
            made.describe()
        except onednn.Unsupported:
            if layout == BLOCKED:
                raise
            continue
        return made
    raise AssertionError("unreachable")


def _as_product(
    geometry: Geometry,
    direction: str,
    bias: bool,
    parts: tuple[list[Part], list[Part]],
    epilogue: Epilogue,
) -> Recipe | None:
    """The convolution as a product, if that pays."""
    simple = all(step[0] in FUNCTIONS or step[0] == "scale" for step in epilogue)
    if not pays(geometry) or not simple or (bias and direction != FORWARD):
        return None
    inputs, outputs = parts
    first, second, result = inputs[0][1], inputs[1][1], outputs[0][1]
    image, pixels, weights = {
        FORWARD: (first, result, second),
        BACKWARD_DATA: (result, first, second),
        BACKWARD_WEIGHTS: (first, second, result),
    }[direction]
    if bias and inputs[2][1].strides != (1,):
        return None
    try:
        made = Columns(geometry, image, pixels, weights)
        return Assembled(
            lambda count: made.assemble(direction, bias, epilogue, count),
            inputs, outputs, geometry.microseconds,
        )  # fmt: skip
    except onednn.Unsupported:
        return None


def forward_recipe(
    spec: Spec, epilogue: Epilogue, stride: Shape, padding: Shape, dilation: Shape,
    transposed: bool, output_padding: Shape, groups: int, packed: Sequence[int] = (),
) -> Recipe:  # fmt: skip
    """A convolution, plain or transposed."""
    x, weight, bias = _meta(spec, 0), _meta(spec, 1), spec.inputs[2]
    g = Geometry(
        tuple(x.shape), tuple(weight.shape), stride, padding, dilation, groups, SINGLE, transposed,
        tuple(output_padding) if transposed else (),
    )  # fmt: skip
    follow = _Steps(spec, epilogue)
    inputs: list[Part] = [(0, x), (1, weight)]
    if bias is not None:
        inputs.append((2, bias))
    inputs += follow.parts

    def ports(layout: str) -> list[Port]:
        made = [_port(onednn.SRC, x, layout), _weights(onednn.WEIGHTS, weight, g)]
        if bias is not None:
            made.append(Port(onednn.BIAS, bias.shape, SINGLE, strides=bias.strides))
        result = _port(onednn.DST, spec.out, layout, True)
        result.accumulates = split(epilogue)[1]
        return [*made, *follow.ports, result]

    parts: tuple[list[Part], list[Part]] = inputs, [(0, spec.out)]
    return _recipe(g, FORWARD, bias is not None, ports, parts, epilogue, follow, packed)


def input_grad_recipe(
    spec: Spec, epilogue: Epilogue, shape: Shape, stride: Shape, padding: Shape, dilation: Shape,
    groups: int,
) -> Recipe:  # fmt: skip
    """The gradient of a convolution's input."""
    grad, weight = _meta(spec, 0), _meta(spec, 1)
    if epilogue:
        raise onednn.Unsupported("nothing can follow an input gradient")
    g = Geometry(tuple(shape), tuple(weight.shape), stride, padding, dilation, groups, SINGLE)

    def ports(layout: str) -> list[Port]:
        return [
            _port(onednn.DIFF_DST, grad, layout), _weights(onednn.WEIGHTS, weight, g),
            _port(onednn.DIFF_SRC, spec.out, layout, True),
        ]  # fmt: skip

    return _recipe(g, BACKWARD_DATA, False, ports, ([(0, grad), (1, weight)], [(0, spec.out)]))


def weight_grad_recipe(
    spec: Spec, epilogue: Epilogue, shape: Shape, stride: Shape, padding: Shape, dilation: Shape,
    groups: int,
) -> Recipe:  # fmt: skip
    """The gradient of a convolution's weights, and of its bias if asked for."""
    x, grad = _meta(spec, 0), _meta(spec, 1)
    if epilogue not in ((), (("bias_gradient",),)):
        raise onednn.Unsupported("only the bias's gradient can be computed with a weight's")
    bias = bool(epilogue)
    g = Geometry(tuple(x.shape), tuple(shape), stride, padding, dilation, groups, SINGLE)
    summed = make_meta((g.channels_out,), spec.out.dtype)

    def ports(layout: str) -> list[Port]:
        made = [
            _port(onednn.SRC, x, layout), _port(onednn.DIFF_DST, grad, layout),
            _weights(onednn.DIFF_WEIGHTS, spec.out, g, True),
        ]  # fmt: skip
        if bias:
            made.append(Port(onednn.DIFF_BIAS, summed.shape, SINGLE, True))
        return made

    outputs: list[Part] = [(0, spec.out), (1, summed)] if bias else [(0, spec.out)]
    return _recipe(g, BACKWARD_WEIGHTS, bias, ports, ([(0, x), (1, grad)], outputs))
