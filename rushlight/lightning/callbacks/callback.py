"""The base of callbacks."""

from __future__ import annotations

from typing import Any


class Callback:
    """Something that is told what happens in a run, and may have a state of its own.

    Attributes:
        saves: whether it writes checkpoints; it is called after everybody else.
        monitors: whether it looks at logged values at the end of an epoch; it is called after
            they are there.

    See https://lightning.ai/docs/pytorch/stable/extensions/callbacks.html.

    >>> class Shout(Callback):
    ...     def on_train_start(self, trainer, pl_module):
    ...         print("begin")
    >>> Shout().state_key
    'Shout'
    """

    saves: bool = False
    monitors: bool = False

    @property
    def state_key(self) -> str:
        """Under which a checkpoint keeps its state."""
        return type(self).__qualname__

    def _generate_state_key(self, **options: Any) -> str:
        return f"{type(self).__qualname__}{options!r}"

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """A run begins."""

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """A run has ended."""

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """``fit`` begins."""

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """``fit`` has ended."""

    def on_sanity_check_start(self, trainer: Any, pl_module: Any) -> None:
        """The validation batches before training begin."""

    def on_sanity_check_end(self, trainer: Any, pl_module: Any) -> None:
        """The validation batches before training are done."""

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """A training batch is there."""

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A training batch is done."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """A training epoch begins."""

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """A training epoch has ended."""

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The validation's pass over the data begins."""

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """The validation's pass over the data has ended."""

    def on_test_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The test's pass over the data begins."""

    def on_test_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """The test's pass over the data has ended."""

    def on_predict_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The prediction's pass over the data begins."""

    def on_predict_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """The prediction's pass over the data has ended."""

    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A validation batch is there."""

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """A validation batch is done."""

    def on_test_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A test batch is there."""

    def on_test_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """A test batch is done."""

    def on_predict_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A batch to predict is there."""

    def on_predict_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """A batch has been predicted."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Training begins."""

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Training has ended."""

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Validation begins."""

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Validation has ended."""

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """The test begins."""

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """The test has ended."""

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """Prediction begins."""

    def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
        """Prediction has ended."""

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """The run has been broken off by an error or by Ctrl-C."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the callback."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""

    def on_save_checkpoint(
        self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Add to what is about to be saved."""
        return None

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Take from what has been loaded."""

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """``loss.backward()`` is about to be called."""

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        """The gradients are there."""

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """The optimizer is about to step."""

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """The gradients are about to be forgotten."""
