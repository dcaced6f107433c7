"""The tensor: what the user holds. Operators become its methods in ``rushlight._bind``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight._arrays import legacy_constructor, tensor_of_array
from rushlight._copying import copied, deepcopied, reduced
from rushlight.engine.core.device import device
from rushlight.engine.core.dtype import C_NAMES, FLOATING, SCALAR_NAMES, dtype
from rushlight.engine.core.layout import layout, strided
from rushlight.engine.core.shape import Size, is_channels_last, normalize_dim
from rushlight.engine.ir.graph import SHARED, Meta, TensorBase, Value
from rushlight.engine.ir.op import hooks
from rushlight.engine.runtime.executor import flush, materialize
from rushlight.engine.trace import differentiate, views
from rushlight.engine.trace.backward import backward
from rushlight.engine.trace.recorder import mode
from rushlight.storage import TypedStorage, UntypedStorage, untyped_storage

if TYPE_CHECKING:  # the methods bound from the operator records, for editors and mypy
    from rushlight._methods import TensorMethods as _Methods
else:
    _Methods = object


class Tensor(TensorBase, _Methods):
    """A multi-dimensional array whose operations are recorded and differentiated.

    ``Tensor(2, 3)`` makes an uninitialised float tensor, ``Tensor([1, 2])`` one with these
    numbers; ``torch.tensor`` is the better way, see
    https://pytorch.org/docs/stable/tensors.html.

    >>> import rushlight as torch
    >>> torch.tensor([[1.0, 2.0]]) @ torch.tensor([[3.0], [4.0]])
    tensor([[11.]])
    """

    _grad: Any = None
    _post_accumulate_hooks: Any = None
    _retains: bool = False
    _base: Any = None
    __array_priority__ = 1000

    def __new__(cls, *data: Any, **options: Any) -> Any:
        made = legacy_constructor(data, options)
        if cls is not Tensor:
            made = made.as_subclass(cls)
        return made

    # shape and type ----------------------------------------------------------------------------

    @property
    def _meta(self) -> Meta:
        return self._value.meta

    @property
    def shape(self) -> Size:
        """The sizes of the axes."""
        return self._value.meta.shape

    @property
    def dtype(self) -> dtype:
        """The type of the elements."""
        return self._value.meta.dtype

    @property
    def device(self) -> device:
        """Where the tensor lives."""
        return self._value.meta.device

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._value.meta.ndim

    @property
    def itemsize(self) -> int:
        """The size of an element in bytes."""
        return self._value.meta.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The size of all elements in bytes."""
        return self._value.meta.nbytes

    @property
    def layout(self) -> layout:
        """The memory layout: always strided."""
        return strided

    @property
    def is_cuda(self) -> bool:
        """Whether the tensor lives on a GPU."""
        return self.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        """Whether the tensor lives in main memory."""
        return self.device.type == "cpu"

    is_sparse = is_quantized = is_mkldnn = is_meta = is_nested = False
    is_mps = is_xpu = is_xla = is_ipu = is_mtia = is_vulkan = is_sparse_csr = False
    names: tuple[None, ...] = ()

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        shape = self._value.meta.shape
        if dim is None:
            return shape
        return shape[normalize_dim(dim, len(shape))]

    def stride(self, dim: int | None = None) -> Any:
        """The steps between neighbours along each axis, in elements."""
        strides = self._value.meta.strides
        return strides if dim is None else strides[normalize_dim(dim, len(strides))]

    def dim(self) -> int:
        """The number of axes."""
        return self._value.meta.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self._value.meta.numel

    nelement = numel

    def element_size(self) -> int:
        """The size of an element in bytes."""
        return self._value.meta.dtype.itemsize

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in row-major order (or in the order given)."""
        meta = self._value.meta
        if memory_format is not None and str(memory_format).startswith("torch.channels_last"):
            return is_channels_last(meta.shape, meta.strides)
        return meta.contiguous

    def is_floating_point(self) -> bool:
        """Whether the type is a floating-point one."""
        return self._value.meta.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the type is a complex one."""
        return self._value.meta.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the type has negative numbers."""
        return self._value.meta.dtype.is_signed

    def get_device(self) -> int:
        """The index of the GPU, -1 on a processor."""
        return -1

    def __len__(self) -> int:
        shape = self._value.meta.shape
        if not shape:
            raise TypeError("len() of a 0-d tensor")
        return shape[0]

    # reading -----------------------------------------------------------------------------------

    def _read(self) -> Value:
        return self._value if self._alias is None else self._alias.read(self)

    def _array(self, reason: str = "read") -> np.ndarray:
        """The contents now, as an array that must not be written to."""
        array: np.ndarray = materialize(self._read(), reason)
        return array

    _numpy_for_printing = _array

    def item(self) -> Any:
        """The only element as a Python number."""
        if self._value.meta.numel != 1:
            raise RuntimeError(
                f"a Tensor with {self.numel()} elements cannot be converted to Scalar"
            )
        found = self._array("item()").item()
        return found if not isinstance(found, np.generic) else found.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        array = self._array("tolist()")
        if array.dtype.kind == "V" or (array.dtype.itemsize < 4 and array.dtype.kind not in "biu"):
            array = array.astype(np.float32)
        return array.tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """A NumPy array over the same memory: a write to either is seen by both."""
        if self.requires_grad and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        return self._export("numpy()")

    def _export(self, reason: str) -> np.ndarray:
        """The memory itself, from now on shared with the outside."""
        storage = views.storage_of(self)
        whole = storage.value
        materialize(whole, reason)
        if whole.pos >= 0:
            flush(reason)  # what has been recorded reads this memory as it is now
        if whole.pos != SHARED:
            memory = whole.buffer
            if not memory.flags.writeable or memory.base is not None:
                memory = memory.copy(order="K")  # memory of our own, that others may write to
            whole.buffer = memory.view()
            whole.pos = SHARED
            storage.version += 1
        array: np.ndarray = storage.read(self).buffer
        return array.view()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_wrap__(
        self, array: Any, context: Any = None, return_scalar: bool = False
    ) -> Tensor:
        """What NumPy's functions make of a tensor: a tensor (truth values as uint8, as PyTorch)."""
        found = np.asarray(array)
        return tensor_of_array(found.astype(np.uint8) if found.dtype == np.bool_ else found)

    def __dlpack__(self, **options: Any) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self._export("DLPack").__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def data_ptr(self) -> int:
        """The address of the first element."""
        views.storage_of(self)
        return int(self._array("data_ptr()").ctypes.data)

    def storage_offset(self) -> int:
        """Where the tensor begins in its storage, in elements."""
        return views.offset_of(self)

    def is_set_to(self, tensor: Tensor) -> bool:
        """Whether both look at the same memory in the same way."""
        return self.data_ptr() == tensor.data_ptr() and self._meta is tensor._meta

    def _number(self, kind: type) -> Any:
        if self._value.meta.numel != 1:
            raise RuntimeError(
                f"a Tensor with {self.numel()} elements cannot be converted to Scalar"
            )
        return kind(self.item())

    def __bool__(self) -> bool:
        if self._value.meta.numel != 1:
            amount = "no values" if self.numel() == 0 else "more than one value"
            raise RuntimeError(f"Boolean value of Tensor with {amount} is ambiguous")
        return bool(self.item())

    def __float__(self) -> float:
        return self._number(float)

    def __int__(self) -> int:
        return self._number(int)

    def __complex__(self) -> complex:
        return self._number(complex)

    def __index__(self) -> int:
        if self.dtype.category >= FLOATING or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __iter__(self) -> Iterator[Any]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, (TensorBase, int, float, complex, bool)):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                f"{type(element)}."
            )
        return bool((self == element).any())

    def __hash__(self) -> int:
        return id(self)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self)})

    # autograd ----------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are wanted for this tensor."""
        if self._alias is not None:
            self._alias.read(self)
        return self._edge is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Want (or no longer want) gradients for this leaf tensor."""
        if requires_grad and self.dtype.category < FLOATING:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        differentiate.require_grad(self, requires_grad)
        return self

    @property
    def grad_fn(self) -> Any:
        """The node of the autograd graph that made this tensor, ``None`` for a leaf."""
        if self._alias is not None:
            self._alias.read(self)
        if self._edge is None or self._edge[0].is_leaf_node:
            return None
        return self._edge[0]

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was not made by a differentiable operation."""
        return self.grad_fn is None

    @property
    def output_nr(self) -> int:
        """Which output of its node the tensor is."""
        return 0 if self._edge is None else int(self._edge[1])

    @property
    def grad(self) -> Any:
        """The gradient collected so far, or ``None``."""
        return self._grad

    @grad.setter
    def grad(self, gradient: Any) -> None:
        if gradient is not None:
            if not isinstance(gradient, TensorBase):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type "
                    f"{type(gradient).__name__}"
                )
            if gradient is self:
                raise RuntimeError("can't assign Variable as its own grad")
            meta = gradient._value.meta
            if meta.dtype is not self.dtype:
                raise RuntimeError(
                    f"attempting to assign a gradient with dtype '{C_NAMES[meta.dtype]}' to a "
                    f"tensor with grad_dtype '{SCALAR_NAMES[self.dtype]}'. The gradient must match "
                    "the tensor's grad_dtype (defaults to the tensor's dtype)."
                )
            if meta.shape != self.shape:
                raise RuntimeError(
                    f"attempting to assign a gradient of size '{list(meta.shape)}' to a tensor of "
                    f"size '{list(self.shape)}'. Please ensure that the gradient and the tensor "
                    "are the same size"
                )
        self._grad = gradient

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Compute the gradients of this tensor and add them to the leaves' ``grad``."""
        backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def register_hook(self, hook: Callable[[Any], Any]) -> Any:
        """Call ``hook(grad)`` when this tensor's gradient has been computed.

        What the hook returns, if not ``None``, takes the gradient's place.
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        return differentiate.add_tensor_hook(self, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Any], None]) -> Any:
        """Call ``hook(tensor)`` after a gradient has been added to this leaf."""
        if not self.requires_grad or not self.is_leaf:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        if self._post_accumulate_hooks is None:
            self._post_accumulate_hooks = {}
        return differentiate.HookHandle(self._post_accumulate_hooks, hook)

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf tensor in ``grad`` too."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self.is_leaf or self._retains:
            return
        self._retains = True
        differentiate.retain_grad(self)

    @property
    def retains_grad(self) -> bool:
        """Whether a non-leaf tensor keeps its gradient."""
        return self._retains

    def detach(self) -> Tensor:
        """The same memory outside the graph."""
        return views.share(self)

    def detach_(self) -> Tensor:
        """Take this tensor out of the graph that made it."""
        self._edge = None
        if self._alias is not None:
            self._base = self._base_edge = None
        return self

    @property
    def data(self) -> Tensor:
        """The same memory, invisible to autograd."""
        return views.share(self)

    @data.setter
    def data(self, other: Any) -> None:
        if not isinstance(other, TensorBase):
            raise TypeError(f"Variable data has to be a tensor, but got {type(other).__name__}")
        storage = views.storage_of(other)
        self._value = storage.read(other)
        self._alias, self._chain, self._seen = storage, other._chain, storage.version
        self._base = self._base_edge = None

    @property
    def _version(self) -> int:
        return views.version(self)

    def _is_view(self) -> bool:
        return self._base is not None

    def is_inference(self) -> bool:
        """Whether the tensor was made in inference mode."""
        return bool(getattr(self, "_inference", False))

    # other -------------------------------------------------------------------------------------

    def as_subclass(self, cls: type) -> Any:
        """The same tensor as an object of a subclass."""
        made: Any = object.__new__(cls)
        made.__dict__.update(self.__dict__)
        if self._edge is not None and self._edge[0].is_leaf_node:
            made._edge = None
            made.requires_grad_()
        return made

    __copy__ = copied
    __deepcopy__ = deepcopied
    __reduce_ex__ = reduced

    def is_shared(self) -> bool:
        """Whether ``share_memory_`` has been called on the storage (always on a GPU).

        >>> import rushlight as torch
        >>> torch.zeros(2).share_memory_().is_shared()
        True
        """
        return untyped_storage(self).is_shared()

    def share_memory_(self) -> Tensor:
        """Put the elements into memory that processes forked from here on see too; the tensor.

        Views of the same storage move along. A process that is started afresh gets a copy.
        """
        untyped_storage(self).share_memory_()
        return self

    def untyped_storage(self) -> UntypedStorage:
        """The bytes that this tensor and its views look at."""
        return untyped_storage(self)

    def storage(self) -> TypedStorage:
        """The numbers that this tensor and its views look at."""
        return TypedStorage(wrap_storage=untyped_storage(self), dtype=self.dtype)


mode.tensor = Tensor
hooks.constant = tensor_of_array
