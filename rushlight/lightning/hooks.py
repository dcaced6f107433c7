"""What a module, a data module or a callback may say about a run: every hook, doing nothing.

A loop calls only those that a class has written itself, so the others cost nothing.
"""

from __future__ import annotations

from typing import Any


class DataHooks:
    """Where data comes from; a module and a data module have these.

    >>> from rushlight.lightning import LightningDataModule
    >>> class Ten(LightningDataModule):
    ...     def train_dataloader(self):
    ...         return range(10)
    >>> len(Ten().train_dataloader())
    10
    """

    prepare_data_per_node: bool = True
    allow_zero_length_dataloader_with_multiple_devices: bool = False

    def prepare_data(self) -> None:
        """Download or write what must be done once, by one process; set nothing on ``self``."""

    def setup(self, stage: str) -> None:
        """Make what the run needs; ``stage`` is ``fit``, ``validate``, ``test`` or ``predict``."""

    def teardown(self, stage: str) -> None:
        """Undo ``setup`` after the run."""

    def train_dataloader(self) -> Any:
        """The loader of training batches."""
        raise NotImplementedError(_missing("train_dataloader", "fit"))

    def val_dataloader(self) -> Any:
        """The loader of validation batches, or a list of loaders."""
        raise NotImplementedError(_missing("val_dataloader", "validate"))

    def test_dataloader(self) -> Any:
        """The loader of test batches, or a list of loaders."""
        raise NotImplementedError(_missing("test_dataloader", "test"))

    def predict_dataloader(self) -> Any:
        """The loader of batches to predict, or a list of loaders."""
        raise NotImplementedError(_missing("predict_dataloader", "predict"))

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch before it is moved to the device."""
        return batch

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """Move a batch to the device; only needed for containers of one's own."""
        return batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch after it has been moved to the device."""
        return batch


def _missing(name: str, entry: str) -> str:
    return (
        f"`{name}` must be implemented to be used with the Lightning Trainer; write it, or pass "
        f"a loader to `trainer.{entry}()`"
    )


class CheckpointHooks:
    """What is added to a checkpoint."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add to what is about to be saved."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take from what has been loaded, before the parameters are set."""


class ModelHooks:
    """What happens in a run, told to the module."""

    def on_fit_start(self) -> None:
        """``fit`` begins."""

    def on_fit_end(self) -> None:
        """``fit`` has ended."""

    def on_train_start(self) -> None:
        """Training begins, after the sanity check."""

    def on_train_end(self) -> None:
        """Training has ended."""

    def on_validation_start(self) -> None:
        """Validation begins."""

    def on_validation_end(self) -> None:
        """Validation has ended."""

    def on_test_start(self) -> None:
        """The test begins."""

    def on_test_end(self) -> None:
        """The test has ended."""

    def on_predict_start(self) -> None:
        """Prediction begins."""

    def on_predict_end(self) -> None:
        """Prediction has ended."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """A training batch is there; -1 leaves out the rest of the epoch."""
        return None

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A training batch is done; ``outputs["loss"]`` is its loss, without its graph."""

    def on_validation_batch_start(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A validation batch is there."""

    def on_validation_batch_end(
        self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A validation batch is done."""

    def on_test_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """A test batch is there."""

    def on_test_batch_end(
        self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A test batch is done."""

    def on_predict_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """A batch to predict is there."""

    def on_predict_batch_end(
        self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A batch has been predicted."""

    def on_validation_model_zero_grad(self) -> None:
        """Forget the gradients before a validation inside training."""
        zero_grad = getattr(self, "zero_grad", None)
        if zero_grad is not None:
            zero_grad()

    def on_validation_model_eval(self) -> None:
        """Put the module into evaluation mode; another one may be chosen."""
        self.eval()  # type: ignore[attr-defined]

    def on_validation_model_train(self) -> None:
        """Put the module back into training mode."""

    def on_test_model_eval(self) -> None:
        """Put the module into evaluation mode."""
        self.eval()  # type: ignore[attr-defined]

    def on_test_model_train(self) -> None:
        """Put the module back into training mode."""

    def on_predict_model_eval(self) -> None:
        """Put the module into evaluation mode."""
        self.eval()  # type: ignore[attr-defined]

    def on_train_epoch_start(self) -> None:
        """A training epoch begins."""

    def on_train_epoch_end(self) -> None:
        """A training epoch has ended; what is logged here counts for the epoch."""

    def on_validation_epoch_start(self) -> None:
        """The validation's pass over the data begins."""

    def on_validation_epoch_end(self) -> None:
        """The validation's pass over the data has ended."""

    def on_test_epoch_start(self) -> None:
        """The test's pass over the data begins."""

    def on_test_epoch_end(self) -> None:
        """The test's pass over the data has ended."""

    def on_predict_epoch_start(self) -> None:
        """The prediction's pass over the data begins."""

    def on_predict_epoch_end(self) -> None:
        """The prediction's pass over the data has ended."""

    def on_before_zero_grad(self, optimizer: Any) -> None:
        """The gradients are about to be forgotten."""

    def on_before_backward(self, loss: Any) -> None:
        """``loss.backward()`` is about to be called."""

    def on_after_backward(self) -> None:
        """The gradients are there."""

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """The optimizer is about to step; the gradients have not been clipped yet."""

    def configure_model(self) -> None:
        """Make large layers late; called once for every run, on all processes."""


def overridden(owner: Any, name: str, base: type) -> bool:
    """Whether ``owner`` has a method of its own instead of the one ``base`` has.

    >>> class Loud(ModelHooks):
    ...     def on_fit_start(self):
    ...         print("begin")
    >>> overridden(Loud(), "on_fit_start", ModelHooks), overridden(Loud(), "on_fit_end", ModelHooks)
    (True, False)
    """
    if owner is None:
        return False
    if name in vars(owner):
        return True
    found = getattr(type(owner), name, None)
    return found is not None and found is not getattr(base, name, None)
