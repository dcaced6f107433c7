"""Parameters computed from others: ``torch.nn.utils.parametrize``.

A parametrized tensor becomes a property of the module's class (a class of its own is made for the
module), which computes it from ``module.parametrizations.<name>.original`` whenever it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from types import new_class
from typing import Any

from rushlight._tensor import Tensor
from rushlight.autograd.grad_mode import no_grad
from rushlight.nn.modules.container import ModuleDict, ModuleList
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter

UNSAFE = "unless the `unsafe` flag is enabled"


class _Cache:
    """Computed tensors, kept while ``cached()`` is open."""

    def __init__(self) -> None:
        self.depth = 0
        self.tensors: dict[tuple[int, str], Any] = {}


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor only once within this context.

    >>> import rushlight as torch
    >>> with torch.nn.utils.parametrize.cached():
    ...     pass
    """
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.tensors.clear()


def _register(module: Module, name: str, tensor: Any) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _invert(modules: Any, value: Any, strict: bool) -> Any:
    """What the parametrizations must be given so that ``value`` comes out."""
    for module in reversed(list(modules)):
        if hasattr(module, "right_inverse"):
            try:
                value = module.right_inverse(value)
            except NotImplementedError:
                if strict:
                    raise
        elif strict:
            raise RuntimeError(
                f"parametrization {type(module).__name__} does not implement right_inverse."
            )
    return value


def _check_result(made: Any, wanted: Any) -> None:
    """Raise if a parametrization changes what kind of tensor it is."""
    if not isinstance(made, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(made).__name__}.")
    for what in ("dtype", "shape"):
        if getattr(made, what) != getattr(wanted, what):
            raise ValueError(
                f"Registering a parametrization may not change the {what} of the tensor, "
                f"{UNSAFE}.\nunparametrized {what}: {getattr(wanted, what)}\n"
                f"parametrized {what}: {getattr(made, what)}"
            )


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, and the tensor or tensors they start from.

    Args:
        modules: the parametrizations, the first one first.
        original: the tensor that becomes parametrized.
        unsafe: whether type and shape may change.
    """

    def __init__(self, modules: Sequence[Any], original: Any, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        before = original.detach()
        with no_grad():
            new = _invert(self, original, strict=False)
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            self._set_original("original", original, new)
            _register(self, "original", original)
        else:
            for number, tensor in enumerate(new):
                wanted = original.requires_grad
                if isinstance(original, Parameter):
                    tensor = Parameter(tensor.detach(), wanted)
                _register(self, f"original{number}", tensor)
        if not unsafe:
            _check_result(self(), before)

    def _set_original(self, name: str, original: Any, new: Any) -> None:
        if new is original:
            return
        if not isinstance(new, Tensor):
            raise ValueError(f"`right_inverse` should return a tensor. Got {type(new).__name__}")
        if new.dtype != original.dtype:
            raise ValueError(
                f"The tensor returned by `right_inverse` has dtype {new.dtype} while `{name}` has "
                f"dtype {original.dtype}"
            )
        original.data = new.detach()

    def right_inverse(self, value: Any) -> None:
        """Change the originals so that ``value`` comes out."""
        with no_grad():
            new = _invert(self, value, strict=True)
            if self.is_tensor:
                self._set_original("original", self.original, new)
                return
            if not isinstance(new, Sequence) or len(new) != self.ntensors:
                raise ValueError(
                    "'right_inverse' must return a sequence of tensors of length "
                    f"{self.ntensors}. Got {type(new).__name__}."
                )
            for number, tensor in enumerate(new):
                name = f"original{number}"
                self._set_original(name, getattr(self, name), tensor)

    def forward(self) -> Any:
        """Compute the tensor."""
        first, *others = list(self)
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]
        made = first(*[getattr(self, name) for name in names])
        for module in others:
            made = module(made)
        return made


def _copy_with_class(self: Any, memo: dict[int, Any]) -> Any:
    """A deep copy of a parametrized module, which shares the class made for it."""
    if id(self) not in memo:
        made = memo[id(self)] = object.__new__(type(self))
        made.__dict__ = deepcopy(self.__dict__, memo)
    return memo[id(self)]


def _refuse_pickling(self: Any) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _inject_class(module: Any) -> None:
    """Give the module a class of its own, which can have properties of its own."""
    kind = type(module)
    members: dict[str, Any] = {"__getstate__": _refuse_pickling}
    if not hasattr(kind, "__deepcopy__"):
        members["__deepcopy__"] = _copy_with_class
    module.__class__ = new_class(
        f"Parametrized{kind.__name__}", (kind,), exec_body=lambda body: body.update(members)
    )


def _property(name: str) -> property:
    """The property that computes the tensor when it is read."""

    def read(self: Any) -> Any:
        parametrization: Callable[[], Any] = self.parametrizations[name]
        if not _cache.depth:
            return parametrization()
        key = (id(self), name)
        if key not in _cache.tensors:
            _cache.tensors[key] = parametrization()
        return _cache.tensors[key]

    def write(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(read, write)


def register_parametrization(
    module: Any, tensor_name: str, parametrization: Any, *, unsafe: bool = False
) -> Any:
    """Compute a parameter or buffer of ``module`` by ``parametrization`` from now on.

    Args:
        module: what has the tensor.
        tensor_name: its name.
        parametrization: a module; with a method ``right_inverse`` the tensor can be assigned to.
        unsafe: whether type and shape may change.

    Returns:
        ``module``.

    Raises:
        ValueError: there is no such tensor, or type or shape change.

    See https://pytorch.org/tutorials/intermediate/parametrizations.html.

    >>> import rushlight as torch
    >>> class Positive(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.abs()
    >>> layer = torch.nn.Linear(2, 2)
    >>> layer = torch.nn.utils.parametrize.register_parametrization(layer, "weight", Positive())
    >>> bool((layer.weight >= 0).all())
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            before = getattr(module, tensor_name)
            made = parametrization(before)
            _check_result(made, before)
            if hasattr(parametrization, "right_inverse"):
                _check_result(_invert([parametrization], made, strict=False), before)
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        made = ParametrizationList([parametrization], original, unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_class(module)
            module.parametrizations = ModuleDict()
        setattr(type(module), tensor_name, _property(tensor_name))
        module.parametrizations[tensor_name] = made
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    return module


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Whether a tensor of ``module`` (any, if none is named) is parametrized.

    >>> import rushlight as torch
    >>> torch.nn.utils.parametrize.is_parametrized(torch.nn.Linear(1, 1))
    False
    """
    found = getattr(module, "parametrizations", None)
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(
    module: Any, tensor_name: str, leave_parametrized: bool = True
) -> Any:
    """Make a parametrized tensor an ordinary one again.

    Args:
        module: what has the tensor.
        tensor_name: its name.
        leave_parametrized: keep the computed tensor, not the one it was computed from.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    steps = module.parametrizations[tensor_name]
    if steps.is_tensor:
        original = steps.original
        if leave_parametrized:
            with no_grad():
                original.data = getattr(module, tensor_name).detach()
    elif leave_parametrized:
        computed = getattr(module, tensor_name)
        original = Parameter(computed.detach()) if computed.requires_grad else computed
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Any) -> type:
    """The class of ``module`` as it was before any tensor became parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Any, to_module: Any, tensor_name: str | None = None
) -> Any:
    """Give ``to_module`` the parametrizations of ``from_module`` and what they start from.

    Args:
        from_module: where they are.
        to_module: where they shall be too.
        tensor_name: only those of this tensor.
    """
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        for key in [*source._parameters, *source._buffers]:
            setattr(to_module.parametrizations[name], key, getattr(source, key))
    return to_module
