"""What stands for the names in a file: constructors of data, written here, that check everything.

None of them runs what a file names. Whatever a file can ask of them is bounded by the file's size.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rushlight._copying import is_engine_attribute
from rushlight._names import torch_name
from rushlight._pickle_reader import Global, LoadError, as_key, damaged, refusal, unsupported
from rushlight._pickle_writer import STORAGES
from rushlight._tensor import Tensor
from rushlight.engine.core.device import device
from rushlight.engine.core.dtype import BY_NAME, dtype
from rushlight.engine.core.layout import layout, strided
from rushlight.engine.core.shape import Size
from rushlight.nn.parameter import Buffer, Parameter
from rushlight.storage import TypedStorage, UntypedStorage, tensor_on

#: Modules that no file may name, whatever the user allows.
_BLOCKED = frozenset(("sys", "os", "posix", "nt", "subprocess"))


# tensors -----------------------------------------------------------------------------------------


def rebuild_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False,
    hooks: Any = None, metadata: Any = None,
) -> Any:  # fmt: skip
    """A tensor over a storage of numbers, after everything the file says has been checked."""
    if not isinstance(storage, TypedStorage):
        raise LoadError("a tensor in the file has something else than a storage")
    return _tensor(
        storage.untyped(), storage.dtype, (offset, size, stride), requires_grad, metadata
    )


def _rebuild_untyped(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any,
    found: Any, metadata: Any = None,
) -> Any:  # fmt: skip
    """A tensor over a storage of bytes, with its type beside it."""
    if not isinstance(storage, UntypedStorage) or not isinstance(found, dtype):
        raise LoadError("a tensor in the file has something else than a storage and a type")
    return _tensor(storage, found, (offset, size, stride), requires_grad, metadata)


def _tensor(
    storage: UntypedStorage, found: dtype, place: Any, requires_grad: Any, metadata: Any
) -> Any:
    offset, size, stride = place
    if not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise LoadError("a tensor in the file has something else than a size and a stride")
    try:
        made = tensor_on(storage, found, offset, size, stride)
    except RuntimeError as error:
        raise LoadError(f"the file describes a tensor that cannot be: {error}") from error
    if isinstance(metadata, dict) and metadata.get("conj"):
        made = made.conj().resolve_conj()
    if isinstance(metadata, dict) and metadata.get("neg"):
        made = -made
    if requires_grad:
        _floating(made).requires_grad_()
    return made


def _floating(tensor: Any) -> Any:
    if not isinstance(tensor, Tensor):
        raise LoadError("a parameter in the file is no tensor")
    if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
        raise LoadError("a tensor in the file wants gradients and is not floating-point")
    return tensor


def _rebuild_parameter(data: Any, requires_grad: Any = True, hooks: Any = None) -> Any:
    if requires_grad:
        _floating(data)
    return Parameter(data, bool(requires_grad))


def _rebuild_parameter_with_state(data: Any, requires_grad: Any, hooks: Any, state: Any) -> Any:
    return with_attributes(_rebuild_parameter(data, requires_grad), state)


def _rebuild_of_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor with attributes of the user's."""
    rebuilds = [_DATA[name] for name in _DATA if name.startswith("torch._utils ")]
    build = function.build if isinstance(function, Global) else function
    if build is None or build not in rebuilds:
        raise unsupported("a tensor is made by something else than PyTorch's own functions")
    made = build(*arguments)
    if not isinstance(made, Tensor):
        raise damaged("a tensor is none")
    cls = kind.found if isinstance(kind, Global) else kind
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise damaged("the type of a tensor is none")
    if cls not in (Tensor, Parameter, Buffer):
        made = made.as_subclass(cls)
    return with_attributes(made, state)


def with_attributes(tensor: Any, state: Any) -> Any:
    """The tensor, with attributes of the user's; no part of the tensor itself can be set."""
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict):
        state = state[0]  # the second half is for slots
    if not isinstance(state, dict):
        raise damaged("the attributes of a tensor are no dictionary")
    for name, value in state.items():
        if not isinstance(name, str) or is_engine_attribute(name) or name.startswith("__"):
            raise unsupported(f"a tensor cannot have the attribute {name!r}")
        if hasattr(type(tensor), name) and name != "_is_param":
            raise unsupported(f"a file may not replace {name!r} of a tensor")
        tensor.__dict__[name] = value
    return tensor


def _refused(what: str) -> Callable[..., Any]:
    def refuse(*arguments: Any) -> Any:
        raise LoadError(f"rushlight has no {what} tensors, and the file holds one")

    return refuse


# plain data --------------------------------------------------------------------------------------


def _pairs(items: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(items, dict):
        items = items.items()
    elif not isinstance(items, (list, tuple)):
        raise damaged("a dictionary is made of something else than pairs")
    for key, value in items:
        yield as_key(key), value


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict(_pairs(items))


def _counter(items: Any = ()) -> Counter[Any]:
    return Counter(dict(_pairs(items)))


def _default_dict(factory: Any = None, items: Any = ()) -> defaultdict[Any, Any]:
    """Without its factory, which would be a function of the file's choice, unless it is plain."""
    plain = factory.found if isinstance(factory, Global) else None
    return defaultdict(plain if plain in (int, float, list, dict, set) else None, _pairs(items))


def _set(items: Any = ()) -> set[Any]:
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise damaged("a set is made of something else than a list")
    return set(map(as_key, items))


def _frozen_set(items: Any = ()) -> frozenset[Any]:
    return frozenset(_set(items))


def _encoded(text: Any, encoding: Any = "utf-8") -> bytes:
    known = ("latin1", "latin-1", "iso-8859-1", "utf-8", "utf8", "ascii")
    if not isinstance(text, str) or encoding not in known:
        raise unsupported("a text is turned into bytes by an encoding that is not allowed")
    return text.encode(encoding)


def _byte_array(data: Any = b"", encoding: Any = None) -> bytearray:
    if isinstance(data, str):
        data = _encoded(data, encoding)
    if not isinstance(data, (bytes, bytearray)):
        raise damaged("bytes are made of something else than bytes")
    return bytearray(data)


def _complex(real: Any = 0.0, imag: Any = 0.0) -> complex:
    if not isinstance(real, (int, float)) or not isinstance(imag, (int, float)):
        raise damaged("a complex number is made of something else than numbers")
    return complex(real, imag)


def _size(numbers: Any = ()) -> Size:
    if not isinstance(numbers, (tuple, list)) or not all(isinstance(n, int) for n in numbers):
        raise damaged("a torch.Size is made of something else than numbers")
    return Size(numbers)


def _device(kind: Any, index: Any = None) -> device:
    if not isinstance(kind, str) or not (index is None or isinstance(index, int)):
        raise damaged("a device is made of something else than a name and a number")
    try:
        return device(kind, index)
    except RuntimeError as error:
        raise LoadError(f"the file names a device that is not known: {error}") from error


def _layout(name: Any) -> layout:
    if name != "torch.strided":
        raise LoadError(f"rushlight has no layout {name!r}, and the file names it")
    return strided


# NumPy -------------------------------------------------------------------------------------------


def _numpy_dtype(name: Any, align: Any = False, copy: Any = True) -> np.dtype[Any]:
    if not isinstance(name, str) or len(name) > 8 or name.strip("<>=|")[:1] not in tuple("biufc?"):
        raise unsupported("the file names a type of NumPy's that is no plain number")
    found = np.dtype(name)
    if found.kind not in "biufc":
        raise unsupported("the file names a type of NumPy's that is no plain number")
    return found


def _numpy_scalar(found: Any, data: Any) -> Any:
    if not isinstance(found, np.dtype) or not isinstance(data, bytes):
        raise damaged("a number of NumPy's is none")
    if len(data) != found.itemsize:
        raise damaged("a number of NumPy's has another size than its type")
    return np.frombuffer(data, found)[0]


def _numpy_empty(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """An array that gets its contents by ``set_state``."""
    return np.empty(0, np.uint8)


def _fill_array(array: np.ndarray, state: Any) -> np.ndarray:
    if not isinstance(state, tuple) or len(state) != 5 or array.size:
        raise damaged("the contents of an array are none")
    _, shape, found, fortran, data = state
    _check_array(shape, found, data)
    target: Any = array
    target.__setstate__((1, shape, found, bool(fortran), bytes(data)))
    return array


def _numpy_from_buffer(data: Any, found: Any, shape: Any, order: Any) -> np.ndarray:
    _check_array(shape, found, data)
    return np.frombuffer(bytearray(data), found).reshape(shape, order="F" if order == "F" else "C")


def _check_array(shape: Any, found: Any, data: Any) -> None:
    plain = isinstance(shape, tuple) and isinstance(found, np.dtype) and found.kind in "biufc"
    if not plain or not isinstance(data, (bytes, bytearray)) or len(shape) > 64:
        raise unsupported("the file holds an array of something else than plain numbers")
    size = found.itemsize
    for length in shape:
        if not isinstance(length, int) or not 0 <= length <= 1 << 62:
            raise damaged("an array has an impossible shape")
        size *= length
    if size != len(data):
        raise damaged(f"an array has {len(data)} bytes where {size} are announced")


# the lists ---------------------------------------------------------------------------------------

_DATA: dict[str, Callable[..., Any] | None] = {
    "torch._utils _rebuild_tensor": rebuild_tensor,
    "torch._utils _rebuild_tensor_v2": rebuild_tensor,
    "torch._utils _rebuild_tensor_v3": _rebuild_untyped,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
    "torch._utils _rebuild_parameter_with_state": _rebuild_parameter_with_state,
    "torch._utils _rebuild_sparse_tensor": _refused("sparse"),
    "torch._utils _rebuild_qtensor": _refused("quantized"),
    "torch._utils _rebuild_nested_tensor": _refused("nested"),
    "torch._utils _rebuild_meta_tensor_no_storage": _refused("meta"),
    "torch._tensor _rebuild_from_type_v2": _rebuild_of_type,
    "torch.serialization _get_layout": _layout,
    "torch Size": _size,
    "torch device": _device,
    "collections OrderedDict": _ordered,
    "collections Counter": _counter,
    "collections defaultdict": _default_dict,
    "builtins set": _set,
    "builtins frozenset": _frozen_set,
    "builtins bytearray": _byte_array,
    "builtins complex": _complex,
    "_codecs encode": _encoded,
    "numpy dtype": _numpy_dtype,
    "numpy ndarray": None,
    "numpy.core.multiarray scalar": _numpy_scalar,
    "numpy.core.multiarray _reconstruct": _numpy_empty,
    "numpy.core.numeric _frombuffer": _numpy_from_buffer,
}

#: Names that stand for a class, not to be called.
_CLASSES: dict[str, type] = {
    "torch Tensor": Tensor,
    "torch._tensor Tensor": Tensor,
    "torch.nn.parameter Parameter": Parameter,
    "torch.nn.parameter Buffer": Buffer,
    "builtins int": int,
    "builtins float": float,
    "builtins list": list,
    "builtins dict": dict,
}

#: What the user has allowed besides, by full name.
_ALLOWED: dict[str, Any] = {}


def find_data(module: str, name: str) -> Any:
    """What stands for a name of a file.

    Raises:
        LoadError: nothing does.
    """
    module = {"__builtin__": "builtins"}.get(module, module).replace("numpy._core", "numpy.core")
    full = f"{module} {name}"
    if full in _DATA:
        return Global(f"{module}.{name}", _DATA[full])
    if full in _CLASSES:
        build = _rebuild_parameter if name == "Parameter" else None
        return Global(f"{module}.{name}", build, _CLASSES[full])
    if module == "torch" and name in BY_NAME:
        return BY_NAME[name]
    if module in ("torch", "torch.storage") and name in STORAGES:
        return STORAGES[name]
    if module.partition(".")[0] in _BLOCKED:
        raise unsupported(
            f"Trying to load unsupported GLOBAL {module}.{name} whose module {module} is blocked."
        )
    allowed = _ALLOWED.get(f"{module}.{name}")
    if allowed is not None:
        return Global(f"{module}.{name}", allowed, allowed)
    raise refusal(f"{module}.{name}".removeprefix("builtins."))


def is_known(module: str, name: str) -> bool:
    """Whether a file may refer to a name."""
    try:
        find_data(module, name)
    except LoadError:
        return False
    return True


def set_state(target: Any, state: Any) -> Any:
    """Put a state into an object that a file has made.

    Raises:
        LoadError: objects of this type get none from files.
    """
    if type(target) is OrderedDict and isinstance(state, dict):
        for name, value in state.items():
            if not isinstance(name, str) or hasattr(OrderedDict, name):
                raise unsupported(f"a file may not replace {name!r} of an OrderedDict")
            target.__dict__[name] = value
        return target
    if type(target) is np.ndarray:
        return _fill_array(target, state)
    if isinstance(target, np.dtype):
        native = {"little": "<", "big": ">"}[sys.byteorder]
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("|", "=", native):
            raise LoadError("the file holds numbers of NumPy's in another byte order")
        return target
    if any(type(target) is allowed for allowed in _ALLOWED.values()):
        return _set_allowed(target, state)
    raise unsupported(
        "Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
        f"`add_safe_globals`, but got {type(target)}"
    )


def _set_allowed(target: Any, state: Any) -> Any:
    """As ``pickle`` does it: the user has allowed the class."""
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return target
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    for name, value in (state or {}).items():
        target.__dict__[name] = value
    for name, value in (slots or {}).items():
        setattr(target, name, value)
    return target


def _full_name(item: Any) -> tuple[str, Any]:
    if isinstance(item, tuple):
        if len(item) != 2 or not isinstance(item[1], str):
            raise TypeError(
                f"Expected a tuple of length 2 (global, str of callable full path), but got {item}"
            )
        return item[1], item[0]
    return f"{item.__module__}.{item.__qualname__}", item


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Let files loaded with ``weights_only=True`` name these classes and functions too.

    Args:
        safe_globals: classes and functions, or pairs of one and its full name in the file. Files
            may call them with arguments of the file's choice.

    See https://pytorch.org/docs/stable/notes/serialization.html.

    >>> import fractions, rushlight as torch
    >>> torch.serialization.add_safe_globals([fractions.Fraction])
    >>> torch.serialization.get_safe_globals()
    [<class 'fractions.Fraction'>]
    >>> torch.serialization.clear_safe_globals()
    """
    for item in safe_globals:
        name, found = _full_name(item)
        _ALLOWED[name] = found
        module, _, rest = name.rpartition(".")
        other = torch_name(module)
        if other is not None:
            _ALLOWED[f"{other}.{rest}"] = found


def clear_safe_globals() -> None:
    """Forget what ``add_safe_globals`` has allowed."""
    _ALLOWED.clear()


def get_safe_globals() -> list[Any]:
    """What ``add_safe_globals`` has allowed."""
    return list({id(found): found for found in _ALLOWED.values()}.values())


@contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """Allow classes and functions as ``add_safe_globals`` does, within a ``with`` block.

    Args:
        safe_globals: classes and functions, or pairs of one and its full name in the file.

    >>> import fractions, rushlight as torch
    >>> with torch.serialization.safe_globals([fractions.Fraction]):
    ...     len(torch.serialization.get_safe_globals())
    1
    >>> torch.serialization.get_safe_globals()
    []
    """
    before = dict(_ALLOWED)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _ALLOWED.clear()
        _ALLOWED.update(before)
