"""How ``copy`` and ``pickle`` make a tensor again: on a storage that its views come to share."""

from __future__ import annotations

import copy
from typing import Any

from rushlight.engine.core.dtype import dtype
from rushlight.engine.ir.buffers import copy_strided
from rushlight.engine.ir.graph import Value
from rushlight.engine.trace.recorder import mode
from rushlight.storage import UntypedStorage, storage_to_read, tensor_on, untyped_storage

#: What the engine keeps in a tensor's ``__dict__``; all else is the user's.
_ENGINE = frozenset(
    (
        "_value", "_alias", "_edge", "_chain", "_seen", "_base", "_base_edge", "_grad", "_former",
        "_version_count", "_post_accumulate_hooks", "_retains", "_inference",
    )
)  # fmt: skip


def attributes_of(tensor: Any) -> dict[str, Any]:
    """The attributes that the user has given a tensor.

    Args:
        tensor: any tensor.

    Returns:
        Their names and values, in a dictionary of its own.
    """
    return {name: value for name, value in tensor.__dict__.items() if name not in _ENGINE}


def is_engine_attribute(name: str) -> bool:
    """Whether the engine keeps an attribute of this name in every tensor."""
    return name in _ENGINE


def deepcopied(self: Any, memo: dict[int, Any]) -> Any:
    """``__deepcopy__`` of tensors: tensors that share memory share their copies' memory."""
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment.  If you were attempting to deepcopy a module, this may be "
            "because of a torch.nn.utils.weight_norm usage"
        )
    if id(self) in memo:
        return memo[id(self)]
    if self._alias is None:
        array = copy_strided(self._array("deepcopy"), self._meta)
        made: Any = object.__new__(type(self))
        made._value = Value(self._meta, -1, array)
    else:
        storage = copy.deepcopy(untyped_storage(self), memo)
        place = (self.storage_offset(), self.shape, self.stride())
        made = _of_kind(tensor_on(storage, self.dtype, *place), type(self))
    memo[id(self)] = made
    for name, value in attributes_of(self).items():
        made.__dict__[name] = copy.deepcopy(value, memo)
    if self.requires_grad:
        made.requires_grad_()
    if self._grad is not None:
        made._grad = self._grad.__deepcopy__(memo)
    return made


def reduced(self: Any, protocol: Any) -> Any:
    """``__reduce_ex__`` of tensors: the storage, and where in it the tensor lies."""
    place = (self.storage_offset(), tuple(self.shape), self.stride())
    wanted, attributes = self.requires_grad, attributes_of(self)
    return rebuild, (storage_to_read(self), self.dtype, place, wanted, type(self), attributes)


def copied(self: Any) -> Any:
    """``__copy__`` of tensors: another tensor that looks at the same memory."""
    place = (self.storage_offset(), self.shape, self.stride())
    made = _of_kind(tensor_on(untyped_storage(self), self.dtype, *place), type(self))
    made.__dict__.update(attributes_of(self))
    return made.requires_grad_() if self.requires_grad else made


def rebuild(
    storage: UntypedStorage, found: dtype, place: Any, requires_grad: bool, kind: type, state: Any
) -> Any:
    """Make a tensor again from what ``pickle`` kept of it.

    Args:
        storage: what it looks at.
        found: the type of its elements.
        place: its offset, shape and strides.
        requires_grad: whether gradients are wanted for it.
        kind: its class.
        state: the user's attributes.
    """
    made = _of_kind(tensor_on(storage, found, *place), kind)
    made.__dict__.update(state)
    if requires_grad:
        made.requires_grad_()
    return made


def _of_kind(tensor: Any, kind: type) -> Any:
    if kind is mode.tensor:
        return tensor
    made: Any = object.__new__(kind)
    made.__dict__.update(tensor.__dict__)
    return made
