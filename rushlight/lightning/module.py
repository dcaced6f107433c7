"""A model with what is done in its training steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from rushlight._tensor import Tensor
from rushlight.engine.core.device import device as Device
from rushlight.engine.core.dtype import dtype as Dtype, get_default_dtype
from rushlight.lightning.hooks import CheckpointHooks, DataHooks, ModelHooks
from rushlight.lightning.hparams import HyperparametersMixin
from rushlight.lightning.metrics.collection import MetricCollection
from rushlight.lightning.metrics.metric import Metric
from rushlight.lightning.saving import LoadableMixin
from rushlight.nn.modules.module import Module
from rushlight.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_
from rushlight.optim.optimizer import Optimizer
from rushlight.optim.plateau import ReduceLROnPlateau


class LightningModule(
    Module, ModelHooks, DataHooks, CheckpointHooks, HyperparametersMixin, LoadableMixin
):
    """A model, its training, validation, test and predict steps, and its optimizers.

    A subclass writes ``training_step``, which gives the loss, and ``configure_optimizers``; every
    other hook is optional.

    See https://lightning.ai/docs/pytorch/stable/common/lightning_module.html.

    >>> import rushlight as torch
    >>> class Line(LightningModule):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = torch.nn.Linear(1, 1)
    ...     def training_step(self, batch, batch_idx):
    ...         x, y = batch
    ...         return torch.nn.functional.mse_loss(self.layer(x), y)
    ...     def configure_optimizers(self):
    ...         return torch.optim.SGD(self.parameters(), lr=0.1)
    >>> Line().training_step((torch.zeros(2, 1), torch.ones(2, 1)), 0).shape
    torch.Size([])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trainer: Any = None
        self._example_input_array: Any = None
        self._automatic_optimization = True
        self._parameters_off: list[Tensor] = []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_trainer": None}

    # where it is -------------------------------------------------------------------------------

    @property
    def trainer(self) -> Any:
        """The trainer that runs the module."""
        if self._trainer is None:
            raise RuntimeError(
                f"{type(self).__qualname__} is not attached to a `Trainer`; call it from a hook, "
                "or after `trainer.fit(module)`"
            )
        return self._trainer

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        self.__dict__["_trainer"] = trainer

    @property
    def automatic_optimization(self) -> bool:
        """Whether the trainer calls backward and the optimizer, not ``training_step``."""
        return self._automatic_optimization

    @automatic_optimization.setter
    def automatic_optimization(self, automatic: bool) -> None:
        self._automatic_optimization = automatic

    @property
    def example_input_array(self) -> Any:
        """An input for the model summary and the logger's graph."""
        return self._example_input_array

    @example_input_array.setter
    def example_input_array(self, example: Any) -> None:
        self.__dict__["_example_input_array"] = example

    @property
    def current_epoch(self) -> int:
        """The number of the epoch, from 0."""
        return self._trainer.current_epoch if self._trainer is not None else 0

    @property
    def global_step(self) -> int:
        """How many steps optimizers have taken, in all epochs."""
        return self._trainer.global_step if self._trainer is not None else 0

    @property
    def device(self) -> Device:
        """Where the parameters are."""
        first = next(self.parameters(), None)
        return first.device if first is not None else Device("cpu")

    @property
    def dtype(self) -> Dtype:
        """The type of the first floating-point parameter."""
        for parameter in self.parameters():
            if parameter.is_floating_point():
                return parameter.dtype  # type: ignore[no-any-return]
        return get_default_dtype()

    @property
    def global_rank(self) -> int:
        """The number of the process among all."""
        return self._trainer.global_rank if self._trainer is not None else 0

    @property
    def local_rank(self) -> int:
        """The number of the process on its machine."""
        return self._trainer.local_rank if self._trainer is not None else 0

    @property
    def on_gpu(self) -> bool:
        """Whether the parameters are on a GPU."""
        return self.device.type == "cuda"

    @property
    def logger(self) -> Any:
        """The first logger, or ``None``."""
        return self._trainer.logger if self._trainer is not None else None

    @property
    def loggers(self) -> list[Any]:
        """All loggers."""
        return self._trainer.loggers if self._trainer is not None else []

    def print(self, *args: Any, **kwargs: Any) -> None:
        """``print`` that does not tear the progress bar."""
        if self._trainer is not None:
            self._trainer.print(*args, **kwargs)
        else:
            print(*args, **kwargs)

    # what a subclass writes ----------------------------------------------------------------------

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """The loss of a batch, alone or as ``{"loss": ...}``; ``None`` leaves the batch out."""
        warnings.warn(
            "`training_step` must be implemented to be used with the Lightning Trainer",
            stacklevel=2,
        )

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        """What is done with a validation batch; log here."""

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """What is done with a test batch; log here."""

    def predict_step(self, *args: Any, **kwargs: Any) -> Any:
        """The prediction for a batch: by default what the module gives for it."""
        return self(args[0] if args else kwargs["batch"])

    def configure_optimizers(self) -> Any:
        """The optimizer; lists and dictionaries add more of them and learning-rate schedules."""
        warnings.warn(
            "`configure_optimizers` must be implemented to be used with the Lightning Trainer",
            stacklevel=2,
        )

    def configure_callbacks(self) -> Any:
        """Callbacks the module brings along; one of a kind replaces the trainer's."""
        return []

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model computes."""
        return super().forward(*args, **kwargs)

    # how a step is taken -------------------------------------------------------------------------

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute the gradients of a loss."""
        loss.backward(*args, **kwargs)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """One step of the optimizer; the closure computes loss and gradients."""
        optimizer.step(closure=optimizer_closure)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Forget the gradients."""
        optimizer.zero_grad()

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """One step of a learning-rate schedule; ``metric`` is for those that watch one."""
        if metric is None and not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()
        else:
            scheduler.step(metric)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:  # fmt: skip
        """Bound the gradients before a step, as the trainer was told to."""
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def clip_gradients(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:  # fmt: skip
        """Bound the gradients of an optimizer's parameters by ``norm`` or by ``value``."""
        trainer = self._trainer
        if gradient_clip_val is None and trainer is not None:
            gradient_clip_val = trainer.gradient_clip_val
        if gradient_clip_algorithm is None:
            wanted = None if trainer is None else trainer.gradient_clip_algorithm
            gradient_clip_algorithm = wanted or "norm"
        if not gradient_clip_val:
            return
        if gradient_clip_algorithm not in ("norm", "value"):
            raise ValueError(
                f"`gradient_clip_algorithm` {gradient_clip_algorithm} is invalid. Allowed "
                "algorithms: ['value', 'norm']."
            )
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if gradient_clip_algorithm == "value":
            clip_grad_value_(parameters, gradient_clip_val)
        else:
            clip_grad_norm_(parameters, gradient_clip_val)

    # optimization by hand ------------------------------------------------------------------------

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        """The optimizer, or the list of them, for ``automatic_optimization = False``."""
        found = self.trainer.optimizers
        return found[0] if len(found) == 1 else found

    def lr_schedulers(self) -> Any:
        """The learning-rate schedule, the list of them, or ``None``."""
        found = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        return (found[0] if len(found) == 1 else found) if found else None

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute the gradients of a loss, with the hooks around it."""
        if self._automatic_optimization:
            raise RuntimeError(
                "`manual_backward` is for `automatic_optimization = False`; set it in the "
                "module's constructor"
            )
        self.trainer.backward(loss, *args, **kwargs)

    def toggle_optimizer(self, optimizer: Any) -> None:
        """Let only this optimizer's parameters require gradients, until ``untoggle_optimizer``."""
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for other in self.trainer.optimizers:
            for group in other.param_groups:
                for p in group["params"]:
                    if id(p) not in own and p.requires_grad:
                        p.requires_grad_(False)
                        self._parameters_off.append(p)

    def untoggle_optimizer(self, optimizer: Any) -> None:
        """Give the parameters of the other optimizers their gradients back."""
        for p in self._parameters_off:
            p.requires_grad_(True)
        self._parameters_off.clear()

    # parameters ----------------------------------------------------------------------------------

    def freeze(self) -> None:
        """No parameter is trained any more; the module goes into evaluation mode.

        >>> import rushlight as torch
        >>> module = LightningModule()
        >>> module.layer = torch.nn.Linear(1, 1)
        >>> module.freeze()
        >>> module.layer.weight.requires_grad
        False
        """
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.eval()

    def unfreeze(self) -> None:
        """Train all parameters again."""
        for parameter in self.parameters():
            parameter.requires_grad_(True)
        self.train()

    # logging -------------------------------------------------------------------------------------

    def log(
        self, name: str, value: Any, prog_bar: bool = False, logger: bool | None = None,
        on_step: bool | None = None, on_epoch: bool | None = None, reduce_fx: Any = "mean",
        enable_graph: bool = False, sync_dist: bool = False, sync_dist_group: Any = None,
        add_dataloader_idx: bool = True, batch_size: int | None = None,
        metric_attribute: str | None = None, rank_zero_only: bool = False,
    ) -> None:  # fmt: skip
        """Note a value for the progress bar, the loggers and the callbacks.

        Args:
            name: under which it appears.
            value: a number, a tensor of one element, or a metric.
            prog_bar: whether the progress bar shows it.
            logger: whether the loggers get it (default: yes).
            on_step: whether the value of every step counts (default: in training steps).
            on_epoch: whether the mean over the epoch counts (default: everywhere else).
            reduce_fx: ``mean``, ``sum``, ``min`` or ``max`` over the epoch.
            add_dataloader_idx: whether the names say which of several loaders it was.
            batch_size: the weight of this value in the mean (default: found in the batch).
        """
        trainer = self._trainer
        if trainer is None:
            warnings.warn(
                "You are trying to `self.log()` but the `self.trainer` reference is not "
                "registered on the model yet. This is most likely because the model hasn't been "
                "passed to the `Trainer`",
                stacklevel=2,
            )
            return
        metric = value if isinstance(value, (Metric, MetricCollection)) else None
        if metric is None:
            _check_loggable(name, value)
        elif isinstance(metric, MetricCollection):
            self.log_dict(
                {f"{name}{key}": each for key, each in metric.items(keep_base=False)},
                prog_bar, logger, on_step, on_epoch,
            )  # fmt: skip
            return
        trainer.log_value(
            name, value, metric, prog_bar, logger is not False, on_step, on_epoch, reduce_fx,
            add_dataloader_idx, batch_size,
        )  # fmt: skip

    def log_dict(
        self, dictionary: Mapping[str, Any], prog_bar: bool = False, logger: bool | None = None,
        on_step: bool | None = None, on_epoch: bool | None = None, reduce_fx: Any = "mean",
        enable_graph: bool = False, sync_dist: bool = False, sync_dist_group: Any = None,
        add_dataloader_idx: bool = True, batch_size: int | None = None,
        rank_zero_only: bool = False,
    ) -> None:  # fmt: skip
        """``log`` for every entry of a dictionary."""
        for name, value in dictionary.items():
            self.log(
                name, value, prog_bar, logger, on_step, on_epoch, reduce_fx,
                add_dataloader_idx=add_dataloader_idx, batch_size=batch_size,
            )  # fmt: skip

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> Any:
        """The values of all processes; in a single process the value itself."""
        return data

    # Hooks of Lightning 1.x: whoever writes one gets the results of all steps.
    training_epoch_end: Callable[[Any], Any] | None = None
    validation_epoch_end: Callable[[Any], Any] | None = None
    test_epoch_end: Callable[[Any], Any] | None = None


def _check_loggable(name: str, value: Any) -> None:
    if isinstance(value, Tensor):
        if value._value.meta.numel != 1:
            raise ValueError(
                f"`self.log({name}, {value})` was called, but the tensor must have a single "
                f"element. You can try doing `self.log({name}, {value}.mean())`"
            )
    elif not isinstance(value, (int, float)) and not hasattr(value, "__float__"):
        raise ValueError(
            f"`self.log({name}, {value})` was called, but `{type(value).__name__}` values cannot "
            "be logged"
        )
