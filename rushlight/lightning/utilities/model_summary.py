"""What a model consists of, as a table."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from rushlight._tensor import Tensor
from rushlight.autograd.grad_mode import no_grad
from rushlight.nn.modules.module import Module


@dataclass
class LayerSummary:
    """One module of a model.

    Attributes:
        name: its place in the model.
        kind: its class.
        parameters: how many numbers are in its parameters.
        training: whether it is in training mode.
        in_size, out_size: shapes, where an example has gone through.
    """

    name: str
    kind: str
    parameters: int
    training: bool
    in_size: Any = None
    out_size: Any = None


class ModelSummary:
    """The modules of a model with their numbers of parameters.

    Args:
        model: any module; with ``example_input_array`` the shapes are shown too.
        max_depth: how deep to look; -1 is to the bottom.

    >>> import rushlight as torch
    >>> print(ModelSummary(torch.nn.Sequential(torch.nn.Linear(2, 3))))
      | Name | Type   | Params | Mode
    ----------------------------------------
    0 | 0    | Linear | 9      | train
    ----------------------------------------
    9         Trainable params
    0         Non-trainable params
    9         Total params
    0.000     Total estimated model params size (MB)
    """

    def __init__(self, model: Module, max_depth: int = 1) -> None:
        self._model = model
        self._max_depth = max_depth
        modules = [
            (name, child) for name, child in model.named_modules()
            if name and (max_depth < 0 or name.count(".") < max_depth)
        ]  # fmt: skip
        sizes = self._sizes(modules)
        self.layers = [
            LayerSummary(name, type(child).__name__, _count(child), child.training,
                         *sizes.get(name, (None, None)))
            for name, child in modules
        ]  # fmt: skip

    def _sizes(self, modules: list[tuple[str, Module]]) -> dict[str, tuple[Any, Any]]:
        """The shapes that go in and come out, where there is an example."""
        example = getattr(self._model, "example_input_array", None)
        if example is None:
            return {}
        found: dict[str, tuple[Any, Any]] = {}

        def watch(name: str) -> Any:
            def note(_: Module, given: Any, made: Any) -> None:
                found[name] = _shapes(given[0] if len(given) == 1 else given), _shapes(made)

            return note

        handles = [child.register_forward_hook(watch(name)) for name, child in modules]
        modes = {child: child.training for child in self._model.modules()}
        self._model.eval()
        try:
            with no_grad():
                if isinstance(example, dict):
                    self._model(**example)
                elif isinstance(example, tuple):
                    self._model(*example)
                else:
                    self._model(example)
        finally:
            for child, mode in modes.items():
                child.training = mode
            for handle in handles:
                handle.remove()
        return found

    @property
    def total_parameters(self) -> int:
        """All numbers in parameters."""
        return _count(self._model)

    @property
    def trainable_parameters(self) -> int:
        """Those that are trained."""
        return sum(p.numel() for p in self._model.parameters() if p.requires_grad)

    @property
    def model_size(self) -> float:
        """Megabytes of the parameters."""
        return sum(p.numel() * p.element_size() for p in self._model.parameters()) / 1e6

    @property
    def param_nums(self) -> list[int]:
        """The number of parameters, by layer."""
        return [layer.parameters for layer in self.layers]

    @property
    def layer_names(self) -> list[str]:
        """The names of the layers."""
        return [layer.name for layer in self.layers]

    def __str__(self) -> str:
        columns = [
            ("", [str(number) for number in range(len(self.layers))]),
            ("Name", [layer.name for layer in self.layers]),
            ("Type", [layer.kind for layer in self.layers]),
            ("Params", [human(layer.parameters) for layer in self.layers]),
            ("Mode", ["train" if layer.training else "eval" for layer in self.layers]),
        ]
        if any(layer.in_size is not None for layer in self.layers):
            columns.append(("In sizes", [str(layer.in_size or "?") for layer in self.layers]))
            columns.append(("Out sizes", [str(layer.out_size or "?") for layer in self.layers]))
        widths = [max(map(len, [title, *cells])) for title, cells in columns]

        def row(cells: list[str]) -> str:
            padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
            return " | ".join(padded).rstrip()

        line = "-" * (sum(widths) + 3 * len(widths) + 3)
        rows = [row(list(cells)) for cells in zip(*[cells for _, cells in columns], strict=True)]
        table = [row([title for title, _ in columns]), line, *rows, line]
        trained, total = self.trainable_parameters, self.total_parameters
        totals = [
            (human(trained), "Trainable params"),
            (human(total - trained), "Non-trainable params"),
            (human(total), "Total params"),
            (f"{self.model_size:.3f}", "Total estimated model params size (MB)"),
        ]
        return "\n".join(table + [f"{number:<10}{text}" for number, text in totals])

    def print(self) -> None:
        """Print the table."""
        print(self, file=sys.stdout, flush=True)


def summarize(lightning_module: Module, max_depth: int = 1) -> ModelSummary:
    """The summary of a model, see ``ModelSummary``."""
    return ModelSummary(lightning_module, max_depth)


def _count(module: Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _shapes(value: Any) -> Any:
    if isinstance(value, Tensor):
        return list(value.shape)
    if isinstance(value, (list, tuple)):
        return [_shapes(each) for each in value]
    return "?"


def human(number: int) -> str:
    """A number in few digits.

    >>> human(123), human(54610), human(2_500_000)
    ('123', '54.6 K', '2.5 M')
    """
    for factor, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if number >= factor:
            short = f"{number / factor:.1f}"
            return f"{short} {unit}"
    return str(number)
