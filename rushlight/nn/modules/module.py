"""The base of all neural network modules."""

from __future__ import annotations

import inspect
import warnings
from collections import OrderedDict
from collections.abc import Callable
from importlib import import_module
from typing import Any

from rushlight._creation import empty
from rushlight._info import typename
from rushlight._tensor import Tensor
from rushlight.autograd.grad_mode import no_grad
from rushlight.engine.core.device import device as Device
from rushlight.engine.core.dtype import dtype as Dtype
from rushlight.nn.modules.calling import call_with_hooks
from rushlight.nn.modules.hooks import ModuleHooks, everywhere, registered
from rushlight.nn.modules.state_dict import ModuleState
from rushlight.nn.modules.traversal import ModuleTraversal
from rushlight.nn.modules.utils import indent
from rushlight.nn.parameter import Parameter, is_buffer

_TABLES_OF_HOOKS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def _forward_unimplemented(self: Any, *input: Any) -> None:
    """To be written by the subclass."""
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


class Module(ModuleState, ModuleHooks, ModuleTraversal):
    """The base of all neural network modules: parameters, buffers and submodules by name.

    A subclass calls ``super().__init__()``, assigns what it consists of to attributes, and defines
    ``forward``. See https://pytorch.org/docs/stable/generated/torch.nn.Module.html.

    >>> import rushlight as torch
    >>> class Scale(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = torch.nn.Parameter(torch.ones(1))
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    dump_patches: bool = False
    call_super_init: bool = False
    training: bool
    _compiled_call_impl: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the tables of what the module consists of."""
        if not self.call_super_init:
            name = type(self).__name__
            if kwargs:
                raise TypeError(
                    f"{name}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{name}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _non_persistent_buffers_set=set()
        )
        for table in _TABLES_OF_HOOKS:
            self.__dict__[table] = OrderedDict()
        self.__dict__.update(_is_full_backward_hook=None, _modules={})
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    forward: Callable[..., Any] = _forward_unimplemented

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``, and the hooks around it."""
        members = self.__dict__  # looked up here, attributes take three times as long
        try:
            plain = not (
                members["_forward_hooks"]
                or members["_forward_pre_hooks"]
                or members["_backward_hooks"]
                or members["_backward_pre_hooks"]
                or everywhere.any
                or self._compiled_call_impl is not None
            )
        except KeyError as missing:
            return getattr(self, missing.args[0])
        if plain:
            return self.forward(*args, **kwargs)
        if self._compiled_call_impl is not None:
            return self._compiled_call_impl(*args, **kwargs)
        return call_with_hooks(self, args, kwargs)

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` and the hooks, without what ``compile`` has put in their place."""
        return call_with_hooks(self, args, kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Have calls of this module replayed from now on, see ``torch.compile``.

        The module stays the object it is, with the names it has in ``state_dict()``.

        Args:
            args, kwargs: those of ``torch.compile`` after the first.

        >>> import rushlight as torch
        >>> layer = torch.nn.Linear(2, 1)
        >>> layer.compile()
        >>> list(layer.state_dict()), layer(torch.ones(3, 2)).shape
        (['weight', 'bias'], torch.Size([3, 1]))
        """
        compiler = import_module("rushlight.compiler")  # which knows modules: it comes after them
        self._compiled_call_impl = compiler.compile(self._call_impl, *args, **kwargs)

    # what the module consists of ---------------------------------------------------------------

    def _check_name(self, kind: str, name: Any, members: dict[str, Any]) -> None:
        """Refuse a name that cannot be an attribute, or is one already."""
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
        if kind == "module":
            self._check_unused(name, members)
        if "." in name:
            got = f", got: {name}" if kind == "module" else ""
            raise KeyError(f'{kind} name can\'t contain "."{got}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        self._check_unused(name, members)

    def _check_unused(self, name: str, members: dict[str, Any]) -> None:
        if hasattr(self, name) and name not in members:
            raise KeyError(f"attribute '{name}' already exists")

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Make ``tensor`` part of the module's state without training it.

        Args:
            name: the attribute by which it is reached.
            tensor: a tensor or ``None``.
            persistent: whether it is part of the ``state_dict``.

        >>> import rushlight as torch
        >>> module = torch.nn.Module()
        >>> module.register_buffer("mean", torch.zeros(2))
        >>> module.mean
        tensor([0., 0.])
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = registered(everywhere.buffer_registration, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Any) -> None:
        """Make ``param`` (a ``Parameter`` or ``None``) a parameter of the module.

        Raises:
            ValueError: it was computed from other tensors.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must "
                    f"be created explicitly. To express '{name}' as a function of another Tensor, "
                    "compute the value in the forward() method."
                )
            param = registered(everywhere.parameter_registration, self, name, param)
        self._parameters[name] = param

    def add_module(self, name: str, module: Any) -> None:
        """Make ``module`` (or ``None``) a submodule called ``name``."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{typename(module)} is not a Module subclass")
        self._check_name("module", name, self._modules)
        self._modules[name] = registered(everywhere.module_registration, self, name, module)

    def register_module(self, name: str, module: Any) -> None:
        """Another name of ``add_module``."""
        self.add_module(name, module)

    def __getattr__(self, name: str) -> Any:
        members = self.__dict__
        if "_parameters" in members:
            if name in members["_parameters"]:
                return members["_parameters"][name]
            if name in members["_modules"]:
                return members["_modules"][name]
            if name in members["_buffers"]:
                return members["_buffers"][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        members = self.__dict__
        parameters = members.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._leave_other_tables(name, parameters)
            self.register_parameter(name, value)
        elif parameters is not None and name in parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif isinstance(value, Module) or name in members.get("_modules", ()):
            self._set_module(name, value)
        elif is_buffer(value) or name in members.get("_buffers", ()):
            self._set_buffer(name, value)
        else:
            object.__setattr__(self, name, value)

    def _leave_other_tables(self, name: str, own: dict[str, Any]) -> None:
        """Take ``name`` out of every table but the one it now belongs to."""
        for table in (self.__dict__, self._parameters, self._buffers, self._modules):
            if table is not own:
                table.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def _set_module(self, name: str, value: Any) -> None:
        modules = self.__dict__.get("_modules")
        if modules is None:
            raise AttributeError("cannot assign module before Module.__init__() call")
        if isinstance(value, Module):
            self._leave_other_tables(name, modules)
        elif value is not None:
            raise TypeError(
                f"cannot assign '{typename(value)}' as child module '{name}' "
                "(torch.nn.Module or None expected)"
            )
        modules[name] = registered(everywhere.module_registration, self, name, value)

    def _set_buffer(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{typename(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        absent = self.__dict__.get("_non_persistent_buffers_set", ())
        persistent = getattr(value, "persistent", True) if is_buffer(value) else name not in absent
        if "persistent" in inspect.signature(self.register_buffer).parameters:
            self.register_buffer(name, value, persistent)
        elif persistent:
            self.register_buffer(name, value)
        else:
            raise RuntimeError(
                "Registering a non-persistent buffer on a Module subclass that implements "
                "register_buffer() without the persistent argument is not allowed."
            )

    def __delattr__(self, name: str) -> None:
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = [*dir(type(self)), *self.__dict__]
        names += [*self._parameters, *self._modules, *self._buffers]
        return sorted(name for name in names if not name[0].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_compiled_call_impl", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for table in _TABLES_OF_HOOKS:  # a module saved by an older version lacks some
            self.__dict__.setdefault(table, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        self.__dict__.setdefault("_is_full_backward_hook", None)

    # changing all of it ------------------------------------------------------------------------

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Any:
        """Put ``fn(tensor)`` in the place of every parameter, gradient and buffer."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        with no_grad():
            for parameter in self._parameters.values():
                if parameter is None:
                    continue
                gradient = parameter.grad
                applied = fn(parameter)
                if applied is not parameter:
                    parameter.grad = None
                    parameter.data = applied
                if gradient is not None:
                    changed = fn(gradient)
                    if changed is not gradient:
                        gradient.data = changed
                    parameter.grad = gradient
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    self._buffers[name] = fn(buffer)
        return self

    def apply(self, fn: Callable[[Any], Any]) -> Any:
        """Call ``fn`` on every module, this one last."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _convert_floating(self, dtypename: str) -> Any:
        return self._apply(lambda t: getattr(t, dtypename)() if t.is_floating_point() else t)

    def float(self) -> Any:
        """Make all floating-point tensors ``float32``."""
        return self._convert_floating("float")

    def double(self) -> Any:
        """Make all floating-point tensors ``float64``."""
        return self._convert_floating("double")

    def half(self) -> Any:
        """Make all floating-point tensors ``float16``."""
        return self._convert_floating("half")

    def bfloat16(self) -> Any:
        """Make all floating-point tensors ``bfloat16``."""
        return self._convert_floating("bfloat16")

    def type(self, dst_type: Any) -> Any:
        """Make all tensors ``dst_type``."""
        return self._apply(lambda t: t.type(dst_type))

    def cpu(self) -> Any:
        """Move everything to the processor's memory."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Any:
        """Move everything to a GPU."""
        return self._apply(lambda t: t.cuda(device))

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move everything to a device, or make the floating-point tensors another type.

        Args:
            args: a device, a dtype, both, or a tensor to take both from.
            kwargs: ``device``, ``dtype``, ``non_blocking``, ``memory_format``.

        >>> import rushlight as torch
        >>> torch.nn.Linear(2, 3).to(torch.float64).weight.dtype
        torch.float64
        """
        device, dtype = kwargs.get("device"), kwargs.get("dtype")
        for argument in args:
            if isinstance(argument, Tensor):
                device, dtype = argument.device, argument.dtype
            elif isinstance(argument, Dtype):
                dtype = argument
            elif isinstance(argument, (Device, str, int)) and not isinstance(argument, bool):
                device = argument
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )
        memory_format = kwargs.get("memory_format")

        def convert(tensor: Any) -> Any:
            wanted = dtype if tensor.is_floating_point() or tensor.is_complex() else None
            if memory_format is not None and tensor.dim() in (4, 5):
                return tensor.to(device=device, dtype=wanted, memory_format=memory_format)
            return tensor.to(device=device, dtype=wanted)

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Any:
        """Move everything to a device without its contents."""
        return self._apply(
            lambda t: empty(t.shape, dtype=t.dtype, device=device), recurse=recurse
        )

    def share_memory(self) -> Any:
        """Put all tensors where other processes can reach them."""
        return self._apply(lambda t: t.share_memory_())

    def train(self, mode: bool = True) -> Any:
        """Set training mode (dropout drops, batch norm measures) here and below."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Any:
        """Set evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Want, or no longer want, gradients for all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them zero."""
        if getattr(self, "_is_replica", False):
            warnings.warn(
                "Calling .zero_grad() from a module created with nn.DataParallel() has no effect. "
                "Consider using autograd.grad instead.",
                stacklevel=2,
            )
        for parameter in self.parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                parameter.grad = gradient.detach().zero_()

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the parentheses when the module is printed; for subclasses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {indent(repr(x), 2)}" for name, x in self._modules.items()]
        if len(lines) == 1 and not children:
            return f"{self._get_name()}({extra})"
        if not lines and not children:
            return f"{self._get_name()}()"
        return f"{self._get_name()}(\n  " + "\n  ".join([*lines, *children]) + "\n)"
