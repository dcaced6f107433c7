"""Calling a module with other tensors in the place of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def _tied(module: Any, given: dict[str, Any]) -> dict[str, Any]:
    """``given`` with every other name of a tensor that has several."""
    names: dict[int, list[str]] = {}
    for members in (module.named_parameters, module.named_buffers):
        for name, tensor in members(remove_duplicate=False):
            names.setdefault(id(tensor), []).append(name)
    made = dict(given)
    for same in names.values():
        values = [given[name] for name in same if name in given]
        if any(value is not values[0] for value in values):
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(same)}, which are tied. "
                "Consider using tie_weights=False"
            )
        if values:
            made.update(dict.fromkeys(same, values[0]))
    return made


def _check(module: Any, given: dict[str, Any]) -> None:
    known = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    known |= {name for name, _ in module.named_buffers(remove_duplicate=False)}
    problems = []
    for title, keys in (("Unexpected", given.keys() - known), ("Missing", known - given.keys())):
        if keys:
            problems.append(f"{title} key(s): {', '.join(map(repr, sorted(keys)))}.")
    if problems:
        listed = "\n\t".join(problems)
        raise RuntimeError(
            f"Error(s) in reparametrizing for {module._get_name()}:\n\t{listed}"
        )


@contextmanager
def replaced(
    module: Any, tensors: dict[str, Any], tie_weights: bool = True, strict: bool = False
) -> Iterator[None]:
    """Within this context the tensors given by name stand in the place of the module's own.

    Buffers that are replaced by assignment meanwhile appear in ``tensors`` afterwards.
    """
    given = _tied(module, tensors) if tie_weights else tensors
    if strict:
        _check(module, given)
    before: list[tuple[dict[str, Any], str, str, Any]] = []
    try:
        for path, tensor in given.items():
            prefix, _, name = path.rpartition(".")
            owner = module.get_submodule(prefix)
            table = owner._parameters if name in owner._parameters else owner._buffers
            if name not in table:
                raise AttributeError(f"{owner._get_name()} has no attribute `{name}`")
            before.append((table, name, path, table[name]))
            table[name] = tensor
        yield
    finally:
        for table, name, path, tensor in reversed(before):
            if path in tensors:
                tensors[path] = table[name]
            table[name] = tensor


def functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call ``module`` with the tensors given by name in the place of its own.

    Args:
        module: what to call; it is the same again afterwards.
        parameters_and_buffers: tensors by name; several dictionaries may stand in a tuple.
        args: the arguments, a tuple if there are several.
        kwargs: the keyword arguments.
        tie_weights: a tensor given for one name stands for the other names of the same too.
        strict: all names must be given, and no others.

    See https://pytorch.org/docs/stable/generated/torch.func.functional_call.html.

    >>> import rushlight as torch
    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> weights = {"weight": torch.tensor([[3.0]])}
    >>> torch.nn.utils.stateless.functional_call(layer, weights, torch.ones(1))
    tensor([3.])
    """
    if isinstance(parameters_and_buffers, (tuple, list)):
        joined: dict[str, Any] = {}
        for part in parameters_and_buffers:
            if joined.keys() & part.keys():
                raise ValueError(
                    f"{min(joined.keys() & part.keys())} appeared in multiple dictionaries; "
                    "behavior of functional call is ambiguous"
                )
            joined.update(part)
        parameters_and_buffers = joined
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with replaced(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))
