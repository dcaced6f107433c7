"""The functions that build models by name, with or without trained weights."""

from __future__ import annotations

import fnmatch
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import wraps
from types import ModuleType
from typing import Any, TypeVar

from rushlight.nn import Module
from rushlight.vision.models._weights import WeightsEnum

M = TypeVar("M", bound=Module)

#: What a builder takes, as its signature shows it.
_WEIGHTS = inspect.Parameter("weights", inspect.Parameter.KEYWORD_ONLY, default=None)
_PROGRESS = inspect.Parameter("progress", inspect.Parameter.KEYWORD_ONLY, default=True)
_ORDER = ("weights", "progress")

_ABSENT = object()

#: Every builder by its name.
_BUILDERS: dict[str, Callable[..., Module]] = {}


def expect(arguments: dict[str, Any], name: str, value: Any) -> None:
    """Set an argument that has but one right value.

    Raises:
        ValueError: the caller has given another.
    """
    if arguments.setdefault(name, value) != value:
        raise ValueError(
            f"The parameter '{name}' expected value {value} but got {arguments[name]} instead."
        )


def make_divisible(value: float, divisor: int, least: int | None = None) -> int:
    """The multiple of ``divisor`` nearest to ``value``, and not under nine tenths of it."""
    rounded = max(least or divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def _named(function: Callable[..., Any], values: tuple[Any, ...]) -> dict[str, Any]:
    """Values that the caller has given by position, by their names."""
    if len(values) > len(_ORDER):
        raise TypeError(
            f"{function.__name__}() takes 0 positional arguments but {len(values)} were given"
        )
    named = dict(zip(_ORDER, values, strict=False))
    if named:
        quoted = " and ".join(f"'{name}'" for name in named)
        warnings.warn(
            f"Using {quoted} as positional parameter(s) is deprecated since 0.13 and may be "
            "removed in the future. Please use keyword parameter(s) instead.",
            stacklevel=3,
        )
    return named


def _modern(
    function: Callable[..., Any], arguments: dict[str, Any], best: WeightsEnum | None
) -> None:
    """Write ``pretrained=`` and its like, as programs before torchvision 0.13 have it, anew."""
    given = arguments.get("weights", _ABSENT)
    if given is _ABSENT and "pretrained" not in arguments:
        return
    if given is None or isinstance(given, WeightsEnum):
        return
    if isinstance(given, str) and given != "legacy":
        return
    positional = given is not _ABSENT
    wanted = arguments.pop("weights") if positional else arguments["pretrained"]
    if not positional:
        warnings.warn(
            "The parameter 'pretrained' is deprecated since 0.13 and may be removed in the "
            "future, please use 'weights' instead.",
            stacklevel=3,
        )
    chosen = best if wanted else None
    if wanted and best is None:
        raise ValueError(f"No weights available for model {function.__name__}")
    message = (
        "Arguments other than a weight enum or `None` for 'weights' are deprecated since 0.13 and "
        f"may be removed in the future. The current behavior is equivalent to passing "
        f"`weights={chosen}`."
    )
    if chosen is not None:
        message += (
            f" You can also use `weights={type(chosen).__name__}.DEFAULT` to get the most "
            "up-to-date weights."
        )
    warnings.warn(message, stacklevel=3)
    arguments.pop("pretrained", None)
    arguments["weights"] = chosen


def registered(
    weights: Any, pretrained: str | None = "IMAGENET1K_V1"
) -> Callable[[Callable[..., M]], Callable[..., M]]:
    """Make a function one of the builders; it is called with ``weights`` a member or ``None``.

    Args:
        weights: the class of the model's weights.
        pretrained: the member that ``pretrained=True`` stands for, if there is one.
    """
    best = None if pretrained is None else weights[pretrained]

    def decorate(function: Callable[..., M]) -> Callable[..., M]:
        @wraps(function)
        def build(*args: Any, **kwargs: Any) -> M:
            kwargs.update(_named(function, args))
            _modern(function, kwargs, best)
            kwargs["weights"] = weights.verify(kwargs.get("weights"))
            return function(**kwargs)

        _BUILDERS[function.__name__] = build
        setattr(build, "_weights_enum", weights)  # noqa: B010
        return build

    return decorate


def builder(
    weights: Any,
    pretrained: str | None = "IMAGENET1K_V1",
    prepare: Callable[[WeightsEnum, dict[str, Any]], None] | None = None,
    load: Callable[[Any, WeightsEnum, bool], None] | None = None,
) -> Callable[[Callable[..., M]], Callable[..., M]]:
    """Make a function that builds a model with random weights one of the builders.

    Args:
        weights: the class of the model's weights.
        pretrained: the member that ``pretrained=True`` stands for, if there is one.
        prepare: changes the model's arguments where trained weights come into it.
        load: puts trained weights into a model; ``load_state_dict`` by default.
    """

    def decorate(function: Callable[..., M]) -> Callable[..., M]:
        @wraps(function)
        def build(*, weights: WeightsEnum | None = None, progress: bool = True, **kwargs: Any) -> M:
            if weights is not None:
                categories = weights.meta["categories"]
                if categories is not None:
                    expect(kwargs, "num_classes", len(categories))
                if prepare is not None:
                    prepare(weights, kwargs)
            model = function(**kwargs)
            if weights is not None:
                (load or load_weights)(model, weights, progress)
            return model

        shown = inspect.signature(function)
        parameters = [_WEIGHTS, _PROGRESS, *shown.parameters.values()]
        setattr(build, "__signature__", shown.replace(parameters=parameters))  # noqa: B010
        return registered(weights, pretrained)(build)

    return decorate


def load_weights(model: Module, weights: WeightsEnum, progress: bool) -> None:
    """Put trained weights into a model."""
    model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))


def list_models(
    module: ModuleType | None = None,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:
    """The names of the models that ``get_model`` builds, sorted.

    Args:
        module: only those of one module, as ``torchvision.models``.
        include: patterns as for file names; only what fits one of them.
        exclude: patterns of what to leave out.

    Source: https://docs.pytorch.org/vision/stable/models.html#listing-and-retrieving-available-models

    >>> from rushlight.vision import models
    >>> models.list_models(include="resnet*", exclude=["*1*"])
    ['resnet34', 'resnet50']
    """
    names = set(_BUILDERS)
    if module is not None:  # which may go by PyTorch's name, too
        homes = {name: build.__module__.rpartition(".")[0] for name, build in _BUILDERS.items()}
        names = {name for name in names if sys.modules.get(homes[name]) is module}
    if include:
        patterns = [include] if isinstance(include, str) else list(include)
        names = {name for name in names if any(fnmatch.fnmatch(name, one) for one in patterns)}
    if exclude:
        patterns = [exclude] if isinstance(exclude, str) else list(exclude)
        names = {name for name in names if not any(fnmatch.fnmatch(name, p) for p in patterns)}
    return sorted(names)


def get_model_builder(name: str) -> Callable[..., Module]:
    """The function that builds a model.

    Args:
        name: the model's, capital letters or not.

    Raises:
        ValueError: there is no such model.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.models.get_model_builder.html

    >>> from rushlight.vision import models
    >>> models.get_model_builder("ResNet18").__name__
    'resnet18'
    """
    try:
        return _BUILDERS[name.lower()]
    except KeyError:
        raise ValueError(f"Unknown model {name.lower()}") from None


def get_model(name: str, **config: Any) -> Module:
    """A model by its name.

    Args:
        name: as in ``list_models``.
        **config: ``weights``, ``progress``, ``num_classes`` and other arguments of the model.

    Raises:
        ValueError: there is no such model.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.models.get_model.html

    >>> from rushlight.vision import models
    >>> models.get_model("squeezenet1_1", num_classes=10).num_classes
    10
    """
    return get_model_builder(name)(**config)


def get_model_weights(name: Callable[..., Any] | str) -> Any:
    """The class of a model's weights.

    Args:
        name: the model's, or the function that builds it.

    Raises:
        ValueError: there is no such model, or no weights for it.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.models.get_model_weights.html

    >>> from rushlight.vision import models
    >>> models.get_model_weights("alexnet").DEFAULT
    AlexNet_Weights.IMAGENET1K_V1
    """
    build = get_model_builder(name) if isinstance(name, str) else name
    found = getattr(build, "_weights_enum", None)
    if found is None:
        raise ValueError("The WeightsEnum class for the specific method couldn't be retrieved.")
    return found


def get_weight(name: str) -> WeightsEnum:
    """Trained weights by their full name.

    Args:
        name: as ``"ResNet50_Weights.IMAGENET1K_V2"``.

    Raises:
        ValueError: the name has no such form, or no model has such weights.
        KeyError: the model has weights, but none of this name.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.models.get_weight.html

    >>> from rushlight.vision import models
    >>> models.get_weight("AlexNet_Weights.DEFAULT")
    AlexNet_Weights.IMAGENET1K_V1
    """
    owner, dot, member = name.partition(".")
    if not dot or "." in member:
        raise ValueError(f"Invalid weight name provided: '{name}'.")
    for build in _BUILDERS.values():
        found = getattr(build, "_weights_enum")  # noqa: B009
        if found.__name__ == owner:
            return found[member]
    raise ValueError(f"The weight enum '{owner}' for the specific method couldn't be retrieved.")
