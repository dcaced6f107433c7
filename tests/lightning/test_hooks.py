"""Hooks come in the order in which Lightning 2.6 calls them (recorded from it)."""

from __future__ import annotations

from typing import Any

import rushlight.lightning as pl
from tests.lightning.boring import Boring, loader, quiet

NOTED = [
    "setup", "teardown", "prepare_data", "configure_model", "configure_callbacks",
    "configure_optimizers", "optimizer_step", "optimizer_zero_grad", "backward",
    "configure_gradient_clipping", "training_step", "validation_step", "test_step",
    "predict_step",
]  # fmt: skip


def noting(name: str, who: str, base: type, log: list[str]) -> Any:
    """A hook that writes itself down and goes on."""

    def hook(self: Any, *args: Any, **kwargs: Any) -> Any:
        log.append(f"{who}.{name}")
        return getattr(base, name)(self, *args, **kwargs)

    return hook


def watched(log: list[str]) -> tuple[Boring, pl.Callback]:
    """A module and a callback all of whose hooks are written down."""
    names = {n for n in dir(pl.Callback) if n.startswith("on_")} | {"setup", "teardown"}
    callback = type("Notes", (pl.Callback,), {n: noting(n, "c", pl.Callback, log) for n in names})
    names = {n for n in dir(pl.LightningModule) if n.startswith("on_") and n != "on_gpu"}
    hooks = {n: noting(n, "m", Boring, log) for n in [*names, *NOTED]}
    return type("Watched", (Boring,), hooks)(), callback()


BEGIN = """m.configure_callbacks m.prepare_data c.setup m.setup m.configure_model
m.configure_optimizers c.on_fit_start m.on_fit_start c.on_sanity_check_start"""

VALIDATION = """m.on_validation_model_eval c.on_validation_start m.on_validation_start
c.on_validation_epoch_start m.on_validation_epoch_start m.on_before_batch_transfer
m.on_after_batch_transfer c.on_validation_batch_start m.on_validation_batch_start
m.validation_step c.on_validation_batch_end m.on_validation_batch_end c.on_validation_epoch_end
m.on_validation_epoch_end c.on_validation_end m.on_validation_end m.on_validation_model_train"""

BATCH = "m.on_before_batch_transfer m.on_after_batch_transfer c.on_train_batch_start"
GRADIENT = """c.on_before_backward m.on_before_backward m.backward c.on_after_backward
m.on_after_backward"""

EPOCH = f"""c.on_train_epoch_start m.on_train_epoch_start {BATCH} m.on_train_batch_start
m.training_step c.on_before_zero_grad m.on_before_zero_grad m.optimizer_zero_grad {GRADIENT}
c.on_train_batch_end m.on_train_batch_end {BATCH} m.on_train_batch_start m.optimizer_step
m.training_step {GRADIENT} c.on_before_optimizer_step m.on_before_optimizer_step
m.configure_gradient_clipping c.on_train_batch_end m.on_train_batch_end
m.on_validation_model_zero_grad {VALIDATION} c.on_train_epoch_end m.on_train_epoch_end
c.on_save_checkpoint m.on_save_checkpoint"""

FIT = f"""{BEGIN} {VALIDATION} c.on_sanity_check_end c.on_train_start m.on_train_start {EPOCH}
{EPOCH} c.on_train_end m.on_train_end c.on_fit_end m.on_fit_end c.teardown m.teardown"""

TEST = """m.configure_callbacks m.prepare_data c.setup m.setup m.configure_model
m.on_test_model_eval c.on_test_start m.on_test_start c.on_test_epoch_start m.on_test_epoch_start
m.on_before_batch_transfer m.on_after_batch_transfer c.on_test_batch_start m.on_test_batch_start
m.test_step c.on_test_batch_end m.on_test_batch_end c.on_test_epoch_end m.on_test_epoch_end
c.on_test_end m.on_test_end m.on_test_model_train c.teardown m.teardown"""

PREDICT = """m.configure_callbacks m.prepare_data c.setup m.setup m.configure_model
m.on_predict_model_eval c.on_predict_start m.on_predict_start c.on_predict_epoch_start
m.on_predict_epoch_start m.on_before_batch_transfer m.on_after_batch_transfer
c.on_predict_batch_start m.on_predict_batch_start m.predict_step c.on_predict_batch_end
m.on_predict_batch_end c.on_predict_epoch_end m.on_predict_epoch_end c.on_predict_end
m.on_predict_end c.teardown m.teardown"""


def test_the_order(tmp_path) -> None:
    log: list[str] = []
    module, callback = watched(log)
    module.predict_step = lambda batch, batch_idx: (log.append("m.predict_step"), batch[0])[1]
    trainer = quiet(
        tmp_path, max_epochs=2, limit_train_batches=2, limit_val_batches=1, limit_test_batches=1,
        limit_predict_batches=1, accumulate_grad_batches=2, callbacks=[callback],
        enable_checkpointing=True,
    )  # fmt: skip
    trainer.fit(module, loader(), loader())
    kept = [name for name in log if "transfer_batch" not in name]
    assert kept == FIT.split()
    log.clear()
    trainer.test(module, loader(), verbose=False)
    assert [name for name in log if "transfer_batch" not in name] == TEST.split()
    log.clear()
    trainer.predict(module, loader())
    assert [name for name in log if "transfer_batch" not in name] == PREDICT.split()


def test_hooks_get_what_they_should(tmp_path) -> None:
    got: list[Any] = []

    class Looks(Boring):
        def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
            same = float(outputs["loss"]) == float(self.losses[-1])
            got.append((same, outputs["loss"].requires_grad, batch[0].shape, batch_idx))

        def on_before_optimizer_step(self, optimizer) -> None:
            got.append(optimizer is self.optimizers())

        def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0) -> None:
            got.append((outputs, batch_idx, dataloader_idx))

    trainer = quiet(tmp_path, limit_train_batches=1, limit_val_batches=1, num_sanity_val_steps=0)
    trainer.fit(Looks(), loader(), loader())
    assert got == [True, (True, False, (4, 4), 0), (None, 0, 0)]


def test_the_ends_of_epochs_of_1_x(tmp_path) -> None:
    class Old(Boring):
        def training_step(self, batch, batch_idx):
            return {"loss": super().training_step(batch, batch_idx), "n": batch_idx}

        def validation_step(self, batch, batch_idx):
            return {"val_loss": self.loss(batch)}

        def training_epoch_end(self, outputs) -> None:
            seen.append(("train", [o["n"] for o in outputs], outputs[0]["loss"].requires_grad))

        def validation_epoch_end(self, outputs) -> None:
            mean = sum(o["val_loss"] for o in outputs) / len(outputs)
            self.log("val_loss", mean)
            seen.append(("val", len(outputs)))

        def test_epoch_end(self, outputs) -> None:
            seen.append(("test", len(outputs)))

    seen: list[Any] = []
    trainer = quiet(tmp_path, num_sanity_val_steps=0, max_epochs=2)
    module = Old()
    trainer.fit(module, loader(), loader(8))
    trainer.test(module, loader(), verbose=False)
    assert seen == [("val", 2), ("train", list(range(6)), False)] * 2 + [("test", 6)]
    assert "val_loss" in trainer.callback_metrics


def test_one_callback_of_the_module_replaces_the_trainers(tmp_path) -> None:
    class Brings(Boring):
        def configure_callbacks(self):
            return pl.callbacks.EarlyStopping("train_loss", patience=9)

    mine = pl.callbacks.EarlyStopping("train_loss", patience=1)
    trainer = quiet(tmp_path, callbacks=[mine])
    trainer.fit(Brings(), loader())
    assert [c.patience for c in trainer.early_stopping_callbacks] == [9]
