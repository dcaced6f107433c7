"""Parameters and buffers: tensors that a module knows as its own."""

from __future__ import annotations

from typing import Any

from rushlight._creation import empty
from rushlight._printing import parameter_repr
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import FLOATING, dtype as Dtype
from rushlight.engine.trace import views


class _ParameterMeta(type):
    """Lets tensors of foreign classes that were made parameters count as ``Parameter``."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if cls is Parameter and getattr(instance, "_is_param", False):
            return True
        return type.__instancecheck__(cls, instance)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that is trained: assigned to a module, it appears in ``module.parameters()``.

    Args:
        data: the tensor whose memory the parameter shares; an empty one by default.
        requires_grad: whether a gradient is wanted.

    Raises:
        RuntimeError: a gradient is wanted of a tensor that is not floating-point.

    See https://pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html.

    >>> import rushlight as torch
    >>> torch.nn.Parameter(torch.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(
                f"Parameter(): argument 'data' must be a Tensor, not {type(data).__name__}"
            )
        if requires_grad and data.dtype.category < FLOATING:
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        if type(data) is Tensor or isinstance(data, cls):
            made = object.__new__(cls)
            made.__dict__.update(views.share(data).__dict__)
        else:
            made = data.detach().as_subclass(type(data))
            made._is_param = True
        return made.requires_grad_(requires_grad)

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        """Nothing is left to do: ``__new__`` has made the tensor."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return parameter_repr(self)

    __str__ = __repr__


class Buffer(Tensor):
    """A tensor that belongs to a module's state without being trained.

    Args:
        data: the tensor whose memory the buffer shares; an empty one by default.
        persistent: whether it is part of the module's ``state_dict``.

    See https://pytorch.org/docs/stable/generated/torch.nn.parameter.Buffer.html.

    >>> import rushlight as torch
    >>> class Counter(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.count = torch.nn.Buffer(torch.zeros(1))
    >>> list(Counter().state_dict())
    ['count']
    """

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        made: Any = (empty(0) if data is None else data).detach()
        made.requires_grad_(data is not None and data.requires_grad)
        made.persistent = persistent
        made._is_buffer = True
        return made


def is_buffer(value: Any) -> bool:
    """Whether ``value`` was made by ``Buffer``."""
    return isinstance(value, Tensor) and getattr(value, "_is_buffer", False)


class _NoMemory:
    """Stands in the place of a storage and refuses every use of the tensor."""

    version = 0

    def read(self, tensor: Any) -> Any:
        raise ValueError(
            f"Attempted to use an uninitialized parameter. This error happens when you are using a "
            f"`LazyModule` or explicitly manipulating `torch.nn.parameter.{type(tensor).__name__}` "
            "objects. When using LazyModules Call `forward` with a dummy batch to initialize the "
            "parameters before calling torch functions"
        )


_NO_MEMORY = _NoMemory()


class UninitializedTensorMixin:
    """What parameters and buffers without a shape have in common."""

    cls_to_become: type = Tensor

    def _forget(self, dtype: Dtype | None, device: Any, requires_grad: bool) -> Any:
        """Take the type from an empty tensor and refuse to be read."""
        tensor: Any = self
        tensor._value = empty(0, dtype=dtype, device=device)._value
        tensor._edge = None
        if requires_grad:
            Tensor.requires_grad_(tensor)
        tensor._alias = _NO_MEMORY
        return tensor

    def materialize(self, shape: Any, device: Any = None, dtype: Dtype | None = None) -> None:
        """Give the tensor a shape: from now on it is an ordinary one, its contents undefined.

        Args:
            shape: its sizes.
            device: where it lives; where it was declared by default.
            dtype: its type; the declared one by default.
        """
        tensor: Any = self
        wanted = tensor.requires_grad
        made = empty(shape, dtype=dtype or tensor._value.meta.dtype, device=device)
        tensor._alias = tensor._edge = None
        tensor._value = made._value
        tensor.__class__ = self.cls_to_become
        if wanted:
            tensor.requires_grad_()

    @property
    def shape(self) -> Any:
        """Nothing is known of the shape yet."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually "
            "happens in `load_state_dict` when trying to load an uninitialized parameter into an "
            "initialized one. Call `forward` to initialize the parameters before accessing their "
            "attributes."
        )

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient will be wanted."""
        return self._edge is not None  # type: ignore[attr-defined]

    @property
    def is_leaf(self) -> bool:
        """Always: nothing has been computed."""
        return True

    grad_fn = None

    @property
    def data(self) -> Any:
        """An empty tensor of the declared type."""
        return empty(0, dtype=self._value.meta.dtype)  # type: ignore[attr-defined]

    @data.setter
    def data(self, other: Any) -> None:
        self._forget(other.dtype, None, self.requires_grad)

    def share_memory_(self) -> Any:
        """Refused: there is no memory yet."""
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to "
            "initialize the parameters before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.requires_grad, None, self._value.meta.dtype)  # type: ignore[attr-defined]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            kind: Any = type(self)
            memo[id(self)] = kind(self.requires_grad, None, self._value.meta.dtype)  # type: ignore[attr-defined]
        return memo[id(self)]


def _conversion(name: str) -> Any:
    def convert(self: Any, *args: Any, **kwargs: Any) -> Any:
        dtype = getattr(self.data, name)(*args, **kwargs).dtype
        if dtype is self._value.meta.dtype:
            return self
        made = object.__new__(type(self))._forget(dtype, None, self.requires_grad)
        for attribute in ("persistent", "_is_buffer"):
            if attribute in self.__dict__:
                setattr(made, attribute, getattr(self, attribute))
        return made

    convert.__name__ = name
    convert.__doc__ = f"A tensor without a shape of the type that ``{name}`` converts to."
    return convert


for _name in ("to", "cpu", "cuda", "half", "float", "double", "bfloat16", "type"):
    setattr(UninitializedTensorMixin, _name, _conversion(_name))


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[override]
    """A parameter whose shape is not known before the first forward pass.

    Args:
        requires_grad: whether a gradient will be wanted.
        device: where it will live.
        dtype: the type of its elements.

    See https://pytorch.org/docs/stable/generated/torch.nn.parameter.UninitializedParameter.html.

    >>> import rushlight as torch
    >>> weight = torch.nn.UninitializedParameter()
    >>> weight.materialize((2, 3))
    >>> weight.shape
    torch.Size([2, 3])
    """

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Dtype | None = None
    ) -> Any:
        return object.__new__(cls)._forget(dtype, device, requires_grad)

    def __init__(
        self, requires_grad: bool = True, device: Any = None, dtype: Dtype | None = None
    ) -> None:
        """Nothing is left to do: ``__new__`` has made the tensor."""


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[override]
    """A buffer whose shape is not known before the first forward pass.

    Args:
        requires_grad: whether a gradient will be wanted.
        device: where it will live.
        dtype: the type of its elements.
        persistent: whether it is part of the module's ``state_dict``.

    See https://pytorch.org/docs/stable/generated/torch.nn.parameter.UninitializedBuffer.html.

    >>> import rushlight as torch
    >>> torch.nn.UninitializedBuffer()
    <UninitializedBuffer>
    """

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Dtype | None = None,
        persistent: bool = True,
    ) -> Any:
        made = object.__new__(cls)._forget(dtype, device, requires_grad)
        made.persistent = persistent
        made._is_buffer = True
        return made


def is_lazy(param: Any) -> bool:
    """Whether ``param`` still has no shape."""
    return isinstance(param, UninitializedTensorMixin)
