"""``self.log``: what appears where, and that no step waits for it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import rushlight as torch
import rushlight.lightning as pl
from rushlight.lightning.loggers import CSVLogger, TensorBoardLogger
from rushlight.lightning.metrics import Accuracy, MetricCollection, Precision
from rushlight.lightning.utilities import MisconfigurationException
from tests.lightning.boring import Boring, loader, quiet


class Logs(Boring):
    def training_step(self, batch, batch_idx):
        self.log("step_only", float(batch_idx))
        self.log("epoch_only", float(batch_idx), on_step=False, on_epoch=True)
        self.log("both", float(batch_idx), on_step=True, on_epoch=True, prog_bar=True)
        self.log("hidden", float(batch_idx), logger=False)
        for how in ("sum", "min", "max", torch.mean):
            name = how if isinstance(how, str) else "mean"
            self.log(name, batch_idx + 1, on_step=False, on_epoch=True, reduce_fx=how)
        self.log_dict({"a": 1.0, "b": torch.tensor(2.0)}, prog_bar=True)
        return super().training_step(batch, batch_idx)

    def on_train_epoch_end(self) -> None:
        self.log("ended", float(self.current_epoch))


def rows(folder: Path) -> list[dict[str, str]]:
    path = next(folder.rglob("metrics.csv"))
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def test_names_and_reductions(tmp_path) -> None:
    trainer = quiet(tmp_path, max_epochs=2, logger=CSVLogger(tmp_path), log_every_n_steps=2)
    trainer.fit(Logs(), loader())
    found = {name: value.item() for name, value in trainer.callback_metrics.items()}
    expected = {
        "step_only": 5, "epoch_only": 2.5, "both": 2.5, "both_step": 5, "both_epoch": 2.5,
        "hidden": 5, "sum": 21, "min": 1, "max": 6, "mean": 3.5, "a": 1, "b": 2, "ended": 1,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert set(trainer.progress_bar_metrics) >= {"both_step", "both_epoch", "a", "b"}
    assert "step_only" not in trainer.progress_bar_metrics
    table = rows(tmp_path)
    steps = [row for row in table if "step_only" in row]
    assert [(row["step"], row["step_only"]) for row in steps] == [
        ("1", "1.0"), ("3", "3.0"), ("5", "5.0"), ("7", "1.0"), ("9", "3.0"), ("11", "5.0"),
    ]  # fmt: skip
    assert not any("hidden" in row for row in table)
    epochs = [row for row in table if "epoch_only" in row]
    assert [(row["step"], row["epoch"], row["ended"]) for row in epochs] == [
        ("5", "0", "0.0"), ("11", "1", "1.0"),
    ]  # fmt: skip
    assert trainer.logged_metrics["sum"] == 21


def test_the_mean_is_over_samples(tmp_path) -> None:
    class Sizes(Boring):
        def validation_step(self, batch, batch_idx):
            self.log("by_size", float(len(batch[1])))
            self.log("by_hand", float(len(batch[1])), batch_size=1)

    trainer = quiet(tmp_path, num_sanity_val_steps=0)
    trainer.fit(Sizes(), loader(), loader(samples=20, batch_size=16))
    found = trainer.callback_metrics
    assert found["by_size"].item() == pytest.approx((16 * 16 + 4 * 4) / 20)
    assert found["by_hand"].item() == 10


def test_no_step_waits(tmp_path, monkeypatch) -> None:
    """Between two optimizer steps nothing reads a number that a step computes."""

    class Quiet(Boring):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("epoch_loss", loss, on_step=False, on_epoch=True, prog_bar=True)
            return loss

    reads: list[str] = []
    real = torch.Tensor.item

    def item(self):
        reads.append("computed" if self._read().buffer is not None else "pending")
        return real(self)

    monkeypatch.setattr(torch.Tensor, "item", item)
    monkeypatch.setattr(torch.Tensor, "__float__", item)
    trainer = quiet(tmp_path, logger=CSVLogger(tmp_path), log_every_n_steps=50)
    trainer.fit(Quiet(), loader(samples=800))
    assert trainer.global_step == 200
    assert set(reads) == {"computed"}
    assert len(reads) < 250


def test_a_logged_value_does_not_keep_the_graph(tmp_path) -> None:
    module = Boring()
    trainer = quiet(tmp_path)
    trainer.fit(module, loader())
    assert not trainer.callback_metrics["train_loss"].requires_grad


def test_metric_objects(tmp_path) -> None:
    class Measures(Boring):
        def __init__(self) -> None:
            super().__init__()
            self.train_acc = Accuracy(task="multiclass", num_classes=3)
            self.val_all = MetricCollection(
                [Accuracy(task="multiclass", num_classes=3),
                 Precision(task="multiclass", num_classes=3, average="macro")], prefix="val_",
            )  # fmt: skip

        def training_step(self, batch, batch_idx):
            self.train_acc(self(batch[0]), batch[1])
            self.log("train_acc", self.train_acc, on_step=True, on_epoch=True)
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch, batch_idx):
            self.val_all.update(self(batch[0]), batch[1])
            self.log_dict(dict(self.val_all.items()))

    module = Measures()
    trainer = quiet(tmp_path, max_epochs=2)
    trainer.fit(module, loader(), loader())
    found = trainer.callback_metrics
    assert {"train_acc_step", "train_acc_epoch", "val_Accuracy", "val_Precision"} <= set(found)
    x, y = next(iter(loader(batch_size=24)))
    right = (module(x).argmax(1) == y).to(torch.float32).mean()
    assert found["val_Accuracy"].item() == pytest.approx(right.item())


def test_what_cannot_be_logged(tmp_path) -> None:
    def fit(name, value):
        module = Boring()
        module.training_step = lambda batch, batch_idx: module.log(name, value)
        quiet(tmp_path).fit(module, loader())

    with pytest.raises(ValueError, match="must have a single element"):
        fit("many", torch.ones(2))
    with pytest.raises(ValueError, match="`list` values cannot be logged"):
        fit("list", [1])
    module = Boring()
    with pytest.warns(UserWarning, match="not registered on the model"):
        module.log("x", 1.0)
    module.predict_step = lambda batch, batch_idx: module.log("x", 1.0)
    with pytest.raises(MisconfigurationException, match=r"You can't `self\.log"):
        quiet(tmp_path).predict(module, loader())

    class Twice(Boring):
        def training_step(self, batch, batch_idx):
            self.log("x", 1.0, on_step=True)
            self.log("x", 1.0, on_epoch=True, on_step=False)

    with pytest.raises(RuntimeError, match="twice with different arguments"):
        quiet(tmp_path).fit(Twice(), loader())
    module = Boring()
    module.training_step = lambda b, i: module.log("x", 1.0, reduce_fx="median")
    with pytest.raises(ValueError, match="mean,sum"):
        quiet(tmp_path).fit(module, loader())


def test_hyperparameters_reach_the_logger(tmp_path) -> None:
    class Has(Boring):
        def __init__(self, width=3, name="x") -> None:
            super().__init__()
            self.save_hyperparameters()

    trainer = quiet(tmp_path, logger=CSVLogger(tmp_path, name="mine"))
    trainer.fit(Has(width=7), loader())
    assert trainer.log_dir == str(tmp_path / "mine" / "version_0")
    text = (tmp_path / "mine" / "version_0" / "hparams.yaml").read_text()
    assert text == '"width": 7\n"name": "x"\n'
    assert CSVLogger(tmp_path, name="mine").version == 1
    assert CSVLogger(tmp_path, version="run").log_dir.endswith("lightning_logs/run")
    assert CSVLogger(tmp_path, prefix="p").experiment.save() is None


def test_several_loggers_and_none(tmp_path) -> None:
    loggers = [CSVLogger(tmp_path / "a"), CSVLogger(tmp_path / "b", prefix="p")]
    trainer = quiet(tmp_path, logger=loggers, log_every_n_steps=1)
    trainer.fit(Boring(), loader())
    assert "train_loss" in rows(tmp_path / "a")[0]
    assert "p-train_loss" in rows(tmp_path / "b")[0]
    assert trainer.logger is loggers[0]
    assert quiet(tmp_path, logger=False).loggers == []
    assert quiet(tmp_path, logger=False).log_dir == str(tmp_path)
    with pytest.raises(MisconfigurationException, match="must be a `Logger`"):
        quiet(tmp_path, logger="tensorboard")


def test_tensorboard(tmp_path) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="the extra 'tensorboard' is absent",
    )
    module = Boring()
    module.example_input_array = torch.zeros(2, 4)
    logger = TensorBoardLogger(tmp_path, log_graph=True)
    trainer = quiet(tmp_path, logger=logger, log_every_n_steps=2)
    trainer.fit(module, loader(), loader())
    events = reader.EventAccumulator(trainer.log_dir)
    events.Reload()
    assert [event.step for event in events.Scalars("train_loss")] == [1, 3, 5]
    assert events.Tags()["graph"]
    logger.experiment.add_text("note", "by hand")
    logger.finalize("success")
    (val,) = events.Scalars("val_loss")
    assert val.value == pytest.approx(trainer.callback_metrics["val_loss"].item())


def test_the_progress_bar_shows_values(tmp_path, capsys) -> None:
    class Shows(Boring):
        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.loss(batch), prog_bar=True)
            if batch_idx == 0:
                self.print("said between")

    trainer = quiet(tmp_path, enable_progress_bar=True, max_epochs=2)
    trainer.fit(Shows(), loader(), loader())
    trainer.test(dataloaders=loader())
    trainer.predict(pl_predicts(), loader())
    printed = capsys.readouterr().out
    assert "Epoch 1: 100%" in printed
    assert f"val_loss={trainer.callback_metrics['val_loss'].item():.3g}"[:12] in printed
    assert "said between" in printed
    assert "Testing: 100%" in printed
    assert "Predicting: 100%" in printed
    bar = pl.callbacks.TQDMProgressBar(refresh_rate=5)
    assert quiet(tmp_path, callbacks=[bar], enable_progress_bar=None).progress_bar_callback is bar
    with pytest.raises(MisconfigurationException, match="TQDMProgressBar"):
        quiet(tmp_path, callbacks=[bar])


def pl_predicts() -> Boring:
    module = Boring()
    module.predict_step = lambda batch, batch_idx: batch[1]
    return module
