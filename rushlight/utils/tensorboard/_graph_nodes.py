"""The nodes of a drawn graph: named operations, and where their inputs come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from rushlight.engine.ir.graph import Value
from rushlight.engine.ir.program import Node
from rushlight.utils.tensorboard._protos import AttrValue, NodeDef, TensorShapeProto

#: Longer texts of an operation's arguments are cut off: the page shows them in one line.
_MOST_TEXT = 500
#: Tensors of more elements are not written out.
_MOST_ELEMENTS = 8


@dataclass(slots=True)
class Box:
    """One node of the drawing."""

    name: str
    kind: str
    shapes: list[tuple[int, ...]]
    inputs: list[str] = field(default_factory=list)
    attributes: str = ""
    dtype: str = ""

    def proto(self) -> Any:
        """As TensorBoard reads it."""
        shapes = [
            TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape])
            for shape in self.shapes
        ]
        attributes = {"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=shapes))}
        for name, text in (("attr", self.attributes), ("dtype", self.dtype)):
            if text:
                attributes[name] = AttrValue(s=text.encode("utf-8"))
        return NodeDef(name=self.name, op=self.kind, input=self.inputs, attr=attributes)

    def __str__(self) -> str:
        inputs = ", ".join(name.rpartition("/")[2] for name in self.inputs)
        shapes = ", ".join(str(list(shape)) for shape in self.shapes)
        return f"{self.name}: {self.kind}({inputs}) {shapes}"


class Nodes:
    """Boxes in the order in which they were made, and which value each of them gives."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self._names: WeakKeyDictionary[Value, str] = WeakKeyDictionary()
        self._declared: WeakKeyDictionary[Value, tuple[str, str]] = WeakKeyDictionary()
        self._used: dict[str, int] = {}

    def _unique(self, name: str) -> str:
        count = self._used.get(name, 0)
        self._used[name] = count + 1
        return self._unique(f"{name}_{count}") if count else name

    def _put(self, name: str, kind: str, value: Any, **facts: Any) -> str:
        """A box that has no operation; its name."""
        meta = value.meta
        box = Box(self._unique(name), kind, [tuple(meta.shape)], dtype=meta.dtype.name, **facts)
        self.boxes.append(box)
        return box.name

    def declare(self, name: str, kind: str, tensor: Any) -> None:
        """Say what a tensor is that operations may take; inputs of the model are always drawn."""
        value = tensor._read()
        if value not in self._declared:
            self._declared[value] = name, kind
            if name.startswith("input/"):
                self._names[value] = self._put(name, kind, value)

    def copied(self, value: Any, copy: Any) -> None:
        """A copy was entered into the trace in the place of a value that others may write to."""
        if value in self._declared:
            self._declared[copy] = self._declared[value]

    def add(self, scope: str, node: Node, values: Sequence[Any]) -> None:
        """Draw an operation.

        Args:
            scope: the module it belongs to.
            node: the operation.
            values: those of its trace.
        """
        op = node.spec.op
        if values[node.first] in self._declared:
            return  # the copy of an input or a buffer
        inputs, arguments = [], []
        for place, number in enumerate(node.inputs):
            if number < 0:
                continue
            value = values[number]
            if value.meta.weak and value.buffer is not None:
                name = op.input_names[min(place, len(op.input_names) - 1)]
                arguments.append(f"{name}: {value.buffer!r}")
            else:
                inputs.append(self._source(scope, value))
        pairs = zip(op.attr_names, node.spec.attrs, strict=True)
        arguments += [f"{name}: {value!r}" for name, value in pairs]
        text = "{" + ", ".join(arguments) + "}" if arguments else ""
        kind = op.public_name.strip("_")
        made = Box(
            self._unique(f"{scope}/{kind}"), f"aten::{kind}",
            [tuple(meta.shape) for meta in node.spec.outs], inputs,
            text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}...",
            node.spec.out.dtype.name,
        )  # fmt: skip
        self.boxes.append(made)
        for number, place in enumerate(node.outputs):
            self._names[values[place]] = f"{made.name}:{number}" if number else made.name

    def _source(self, scope: str, value: Any) -> str:
        """The name of the box that gives a value, drawn when it is first asked for."""
        name = self._names.get(value) or self._in_memory_of(value)
        if name is None:
            if value in self._declared:
                name = self._put(*self._declared[value], value)
            else:
                name = self._put(f"{scope}/constant", "prim::Constant", value, **_text(value))
            self._names[value] = name
        return name

    def _in_memory_of(self, value: Any) -> str | None:
        """The source of the value whose memory this one is a view of, if there is one."""
        if not isinstance(value.buffer, np.ndarray) or not value.buffer.size:
            return None
        if value in self._declared:
            return None
        for known, name in list(self._names.items()):
            if isinstance(known.buffer, np.ndarray) and np.may_share_memory(
                known.buffer, value.buffer
            ):
                return name
        for known in list(self._declared):
            if isinstance(known.buffer, np.ndarray) and np.may_share_memory(
                known.buffer, value.buffer
            ):
                return self._source("", known)
        return None

    def finish(self, name: str, tensor: Any) -> None:
        """Draw an output of the model."""
        value = tensor._read()
        source = self._source("output", value)
        self._put(name, "IO Node", value, inputs=[source])

    def protos(self) -> list[Any]:
        """The boxes as TensorBoard reads them."""
        return [box.proto() for box in self.boxes]

    def __str__(self) -> str:
        return "\n".join(map(str, self.boxes))


def _text(value: Any) -> dict[str, str]:
    """What a constant is, where it is short."""
    buffer = value.buffer
    if buffer is None or np.size(buffer) > _MOST_ELEMENTS:
        return {}
    return {"attributes": f"{{value: {np.asarray(buffer).tolist()!r}}}"}
