"""Weights as a length times a direction, by a hook (``parametrizations`` has the newer form)."""

from __future__ import annotations

import warnings
from typing import Any

from rushlight.nn.parameter import Parameter, is_lazy


def norm_except(tensor: Any, dim: int) -> Any:
    """The Euclidean norm over all axes but ``dim`` (over all of them for -1), axes kept."""
    if dim == -1:
        return tensor.norm()
    axes = [axis for axis in range(tensor.dim()) if axis != dim % tensor.dim()]
    return tensor.norm(2, axes, keepdim=True)


def scaled(direction: Any, length: Any, dim: int) -> Any:
    """``direction``, brought to ``length``."""
    return direction * (length / norm_except(direction, dim))


def hook_of(module: Any, kind: type, name: str) -> int | None:
    """The number of the module's hook of this kind that computes its parameter ``name``."""
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, kind) and hook.name == name:  # type: ignore[attr-defined]
            return number  # type: ignore[no-any-return]
    return None


def remove_hook(module: Any, kind: type, name: str, called: str) -> None:
    """Let the hook put the parameter back, and take it away.

    Raises:
        ValueError: there is none; ``called`` is what users call it.
    """
    number = hook_of(module, kind, name)
    if number is None:
        raise ValueError(f"{called} of '{name}' not found in {module}")
    module._forward_pre_hooks[number].remove(module)
    del module._forward_pre_hooks[number]


class WeightNorm:
    """The hook that computes a weight from its length ``g`` and its direction ``v``.

    From Salimans and Kingma, Weight normalization, 2016.
    """

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Any) -> Any:
        """The weight from the module's two parameters."""
        direction = getattr(module, self.name + "_v")
        return scaled(direction, getattr(module, self.name + "_g"), self.dim)

    @staticmethod
    def apply(module: Any, name: str, dim: int | None) -> WeightNorm:
        """Replace the parameter ``name`` by two, and register the hook."""
        warnings.warn(
            "`torch.nn.utils.weight_norm` is deprecated in favor of "
            "`torch.nn.utils.parametrizations.weight_norm`.",
            FutureWarning,
            stacklevel=3,
        )
        if hook_of(module, WeightNorm, name) is not None:
            raise RuntimeError(
                f"Cannot register two weight_norm hooks on the same parameter {name}"
            )
        made = WeightNorm(name, dim)
        weight = getattr(module, name)
        if is_lazy(weight):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized parameters. Make sure "
                "to run the dummy forward before applying weight normalization"
            )
        del module._parameters[name]
        length = norm_except(weight.detach(), made.dim)
        module.register_parameter(name + "_g", Parameter(length))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, made.compute_weight(module))
        module.register_forward_pre_hook(made)
        return made

    def remove(self, module: Any) -> None:
        """Put the weight back as one parameter."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"], module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Split the parameter ``name`` of ``module`` into a length and a direction.

    Args:
        module: what has the parameter.
        name: its name.
        dim: the axis along which each slice has its own length; ``None``: one for all.

    See https://pytorch.org/docs/stable/generated/torch.nn.utils.weight_norm.html.
    """
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Undo ``weight_norm``."""
    remove_hook(module, WeightNorm, name, "weight_norm")
    return module
