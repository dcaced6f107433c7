"""Writing checkpoints, choosing the best, stopping early, going on."""

from __future__ import annotations

from datetime import timedelta

import pytest

import rushlight as torch
import rushlight.lightning as pl
from rushlight.lightning.callbacks import (
    EarlyStopping,
    LambdaCallback,
    LearningRateMonitor,
    ModelCheckpoint,
    ModelSummary,
    Timer,
)
from rushlight.lightning.loggers import CSVLogger
from rushlight.lightning.utilities import MisconfigurationException
from tests.lightning.boring import Boring, loader, numbers, quiet


class Scored(Boring):
    """Validates to given scores, one for every epoch."""

    def __init__(self, scores=(3.0, 1.0, 2.0, 0.5, 4.0)) -> None:
        super().__init__()
        self.scores = list(scores)

    def validation_step(self, batch, batch_idx):
        if not self.trainer.sanity_checking:
            self.log("score", self.scores[self.current_epoch])


def fit(folder, checkpoint, module=None, **options):
    settings = {"max_epochs": 5, "enable_checkpointing": True, **options}
    trainer = quiet(folder, callbacks=[checkpoint], **settings)
    trainer.fit(module or Scored(), loader(), loader())
    return trainer


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.ckpt"))


def test_the_newest_by_default(tmp_path) -> None:
    trainer = quiet(tmp_path, max_epochs=3, enable_checkpointing=True)
    trainer.fit(Boring(), loader())
    assert names(tmp_path) == ["epoch=2-step=18.ckpt"]
    assert trainer.checkpoint_callback.dirpath == str(tmp_path / "checkpoints")
    with_logger = quiet(tmp_path / "l", enable_checkpointing=True, logger=CSVLogger(tmp_path / "l"))
    with_logger.fit(Boring(), loader())
    assert (tmp_path / "l/lightning_logs/version_0/checkpoints/epoch=0-step=6.ckpt").exists()


@pytest.mark.parametrize(
    ("mode", "k", "kept", "best"),
    [
        ("min", 1, [3], 0.5), ("min", 2, [1, 3], 0.5), ("max", 2, [0, 4], 4.0),
        ("min", -1, [0, 1, 2, 3, 4], 0.5), ("min", 0, [], None),
    ],
)  # fmt: skip
def test_the_best(tmp_path, mode, k, kept, best) -> None:
    checkpoint = ModelCheckpoint(
        tmp_path, "{epoch}-{score:.1f}", monitor="score", mode=mode, save_top_k=k
    )
    fit(tmp_path, checkpoint)
    scores = Scored().scores
    assert names(tmp_path) == [f"epoch={e}-score={scores[e]:.1f}.ckpt" for e in kept]
    if best is None:
        assert checkpoint.best_model_path == ""
    else:
        assert checkpoint.best_model_score.item() == best
        assert checkpoint.best_model_path in checkpoint.best_k_models
        assert len(checkpoint.best_k_models) == len(kept)


def test_names(tmp_path) -> None:
    values = {"epoch": 3, "step": 40, "val/loss": torch.tensor(0.1234)}
    for pattern, insert, expected in [
        (None, True, "epoch=3-step=40.ckpt"),
        ("{epoch:02d}", True, "epoch=03.ckpt"),
        ("net-{epoch}-{val/loss:.2f}", False, "net-3-0.12.ckpt"),
        ("{missing:.1f}", True, "missing=0.0.ckpt"),
    ]:
        made = ModelCheckpoint(filename=pattern, auto_insert_metric_name=insert)
        assert made.format_checkpoint_name(values) == expected
    for _ in range(2):
        fit(tmp_path, ModelCheckpoint(tmp_path, "same"), max_epochs=1)
    assert names(tmp_path) == ["same-v1.ckpt", "same.ckpt"]


def test_when(tmp_path) -> None:
    for number, (options, kept) in enumerate([
        ({"every_n_train_steps": 8}, [8, 16, 24]),
        ({"every_n_epochs": 2}, [12, 24]),
        ({"train_time_interval": timedelta(0)}, list(range(1, 31))),
        ({"train_time_interval": timedelta(hours=1)}, []),
        ({"save_on_train_epoch_end": False}, [6, 12, 18, 24, 30]),
    ]):  # fmt: skip
        folder = tmp_path / str(number)
        fit(folder, ModelCheckpoint(folder, "{step}", save_top_k=-1, **options))
        steps = sorted(int(name[len("step=") : -len(".ckpt")]) for name in names(folder))
        assert steps == kept, options


def test_the_last(tmp_path) -> None:
    checkpoint = ModelCheckpoint(tmp_path, monitor="score", save_last=True)
    fit(tmp_path, checkpoint)
    assert names(tmp_path) == ["epoch=3-step=24.ckpt", "last.ckpt"]
    assert torch.load(tmp_path / "last.ckpt")["epoch"] == 4
    assert checkpoint.last_model_path == str(tmp_path / "last.ckpt")
    fit(tmp_path / "link", ModelCheckpoint(tmp_path / "link", save_last="link"), max_epochs=1)
    assert (tmp_path / "link" / "last.ckpt").is_symlink()
    assert torch.load(tmp_path / "link" / "last.ckpt")["epoch"] == 0


def test_weights_only(tmp_path) -> None:
    fit(tmp_path, ModelCheckpoint(tmp_path, save_weights_only=True), max_epochs=1)
    (path,) = tmp_path.glob("*.ckpt")
    assert "optimizer_states" not in torch.load(path)
    assert Scored.load_from_checkpoint(path).layer.weight.shape == (3, 4)
    with pytest.raises(KeyError, match="contains only the model"):
        quiet(tmp_path).fit(Boring(), loader(), ckpt_path=path)


def test_what_a_checkpoint_holds(tmp_path) -> None:
    trainer = fit(tmp_path, ModelCheckpoint(tmp_path), max_epochs=2)
    held = torch.load(trainer.checkpoint_callback.best_model_path)  # plain data: no code is run
    assert {
        "epoch", "global_step", "pytorch-lightning_version", "state_dict", "loops", "callbacks",
        "optimizer_states", "lr_schedulers",
    } <= set(held)  # fmt: skip
    assert (held["epoch"], held["global_step"]) == (1, 12)
    assert list(held["state_dict"]) == ["layer.weight", "layer.bias"]


def test_pytorch_reads_it(tmp_path) -> None:
    real = pytest.importorskip("torch", reason="the extra 'oracle' is absent")
    trainer = fit(tmp_path, ModelCheckpoint(tmp_path), max_epochs=1)
    held = real.load(trainer.checkpoint_callback.best_model_path, weights_only=True)
    ours = trainer.lightning_module.layer.weight.detach().numpy()
    assert (held["state_dict"]["layer.weight"].numpy() == ours).all()


def test_what_is_refused(tmp_path) -> None:
    for options, message in [
        ({"mode": "best"}, "`mode` can be min, max"),
        ({"save_top_k": -2}, "Must be >= -1"),
        ({"save_top_k": 3}, "No quantity for top_k to track"),
        ({"every_n_epochs": 1, "every_n_train_steps": 1}, "mutually exclusive"),
        ({"every_n_train_steps": -1}, "Must be >= 0"),
    ]:
        with pytest.raises(MisconfigurationException, match=message):
            ModelCheckpoint(**options)
    with pytest.raises(MisconfigurationException, match="could not find the monitored key"):
        fit(tmp_path, ModelCheckpoint(tmp_path, monitor="nothing"))
    with pytest.raises(MisconfigurationException, match="enable_checkpointing=False"):
        quiet(tmp_path, callbacks=[ModelCheckpoint()])
    with pytest.raises(AttributeError, match="a model is attached"):
        quiet(tmp_path).save_checkpoint(tmp_path / "x.ckpt")
    torch.save({"layer.weight": torch.ones(1)}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="is no checkpoint of a trainer"):
        quiet(tmp_path).fit(Boring(), loader(), ckpt_path=tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({"patience": 1}, 3),
        ({"patience": 2}, 5),
        ({"patience": 1, "min_delta": 2.5}, 2),
        ({"patience": 1, "mode": "max"}, 2),
        ({"patience": 9, "stopping_threshold": 1.5}, 2),
        ({"patience": 9, "divergence_threshold": 3.5}, 5),
    ],
)
def test_early_stopping(tmp_path, options, epochs) -> None:
    stopping = EarlyStopping("score", **options)
    trainer = quiet(tmp_path, max_epochs=5, callbacks=[stopping])
    trainer.fit(Scored((3.0, 1.0, 2.0, 0.5, 4.0)), loader(), loader())
    assert trainer.current_epoch == epochs
    assert stopping.stopped_epoch in (0, epochs - 1)


def test_early_stopping_on_training_values_and_errors(tmp_path) -> None:
    class Worse(Boring):
        def training_step(self, batch, batch_idx):
            self.log("up", float(self.global_step), on_epoch=True, on_step=False)
            return super().training_step(batch, batch_idx)

    trainer = quiet(tmp_path, max_epochs=9, callbacks=[EarlyStopping("up", patience=2)])
    trainer.fit(Worse(), loader())
    assert trainer.current_epoch == 3
    nan = Scored((float("nan"),) * 5)
    trainer = quiet(tmp_path, max_epochs=5, callbacks=[EarlyStopping("score")])
    trainer.fit(nan, loader(), loader())
    assert trainer.current_epoch == 1
    with pytest.raises(RuntimeError, match="metric `nothing` which is not available"):
        quiet(tmp_path, callbacks=[EarlyStopping("nothing")]).fit(Boring(), loader(), loader())
    quiet(tmp_path, callbacks=[EarlyStopping("nothing", strict=False)]).fit(Boring(), loader())
    with pytest.raises(MisconfigurationException, match="`mode` can be min, max"):
        EarlyStopping("x", mode="auto")


def test_learning_rates_are_logged(tmp_path) -> None:
    class Two(Boring):
        def configure_optimizers(self):
            groups = [{"params": [self.layer.weight]}, {"params": [self.layer.bias], "lr": 1.0}]
            optimizer = torch.optim.SGD(groups, lr=0.5, momentum=0.9)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)]

    monitor = LearningRateMonitor("epoch", log_momentum=True)
    trainer = quiet(tmp_path, max_epochs=2, callbacks=[monitor], logger=CSVLogger(tmp_path))
    trainer.fit(Two(), loader())
    assert monitor.lrs["lr-SGD/pg1"] == [0.5, pytest.approx(0.05)]
    assert monitor.lrs["lr-SGD/pg2"] == [1.0, pytest.approx(0.1)]
    rows = [row for row in trainer.logger.metrics if "lr-SGD/pg1" in row]
    assert [row["step"] for row in rows] == [0, 6]
    assert rows[0]["lr-SGD/pg1-momentum"] == 0.9
    with pytest.raises(MisconfigurationException, match="has no logger"):
        quiet(tmp_path, callbacks=[LearningRateMonitor()]).fit(Boring(), loader())
    with pytest.raises(MisconfigurationException, match="`step` or `epoch`"):
        LearningRateMonitor("day")


def test_best_and_last_paths(tmp_path) -> None:
    checkpoint = ModelCheckpoint(tmp_path, monitor="score", save_last=True)
    trainer = fit(tmp_path, checkpoint)
    module = trainer.lightning_module
    last = module.layer.weight.tolist()
    trainer.test(ckpt_path="best", dataloaders=loader(), verbose=False)
    best = torch.load(checkpoint.best_model_path)["state_dict"]["layer.weight"].tolist()
    assert module.layer.weight.tolist() == best != last
    trainer.test(ckpt_path="last", dataloaders=loader(), verbose=False)
    assert module.layer.weight.tolist() == last
    trainer.test(dataloaders=loader(), verbose=False)  # without a model: the best
    assert module.layer.weight.tolist() == best
    with pytest.raises(ValueError, match="not configured to save it"):
        quiet(tmp_path).test(Boring(), loader(), ckpt_path="best")
    fresh = quiet(tmp_path / "fresh", enable_checkpointing=True)
    with pytest.warns(UserWarning, match="No checkpoint will be loaded"):
        fresh.fit(Boring(), loader(), ckpt_path="last")
    assert fresh.global_step == 6


def test_going_on_for_more_epochs(tmp_path) -> None:
    whole = Boring()
    quiet(tmp_path, max_epochs=4).fit(whole, loader(shuffle=False))
    first = quiet(tmp_path, max_epochs=2, enable_checkpointing=True)
    first.fit(Boring(), loader())
    first.save_checkpoint(tmp_path / "after" / "fit.ckpt")
    for path in (first.checkpoint_callback.best_model_path, tmp_path / "after" / "fit.ckpt"):
        module = Boring()
        trainer = quiet(tmp_path, max_epochs=4)
        trainer.fit(module, loader(), ckpt_path=path)
        assert (trainer.current_epoch, trainer.global_step) == (4, 24)
        assert numbers(module.losses) == pytest.approx(numbers(whole.losses)[12:], rel=1e-5)


def test_hooks_add_to_a_checkpoint(tmp_path) -> None:
    class Adds(Boring):
        def on_save_checkpoint(self, checkpoint) -> None:
            checkpoint["mine"] = [1, 2]

        def on_load_checkpoint(self, checkpoint) -> None:
            self.found = checkpoint["mine"]

    class Counts(pl.Callback):
        def __init__(self) -> None:
            self.count = 0

        def on_train_batch_end(self, *args) -> None:
            self.count += 1

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state_dict) -> None:
            self.count = state_dict["count"]

    trainer = quiet(tmp_path, callbacks=[Counts()])
    trainer.fit(Adds(), loader())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    module, counts = Adds(), Counts()
    quiet(tmp_path, max_epochs=2, callbacks=[counts]).fit(
        module, loader(), ckpt_path=tmp_path / "x.ckpt"
    )
    assert module.found == [1, 2]
    assert counts.count == 12
    assert Adds.load_from_checkpoint(tmp_path / "x.ckpt").found == [1, 2]


def test_a_broken_save_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    trainer = quiet(tmp_path)
    trainer.fit(Boring(), loader())
    path = tmp_path / "x.ckpt"
    trainer.save_checkpoint(path)
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda file: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        trainer.save_checkpoint(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.ckpt"]


def test_timer(tmp_path) -> None:
    trainer = quiet(tmp_path, max_epochs=50, max_time={"seconds": 0})
    trainer.fit(Boring(), loader())
    assert trainer.global_step == 1
    timer = Timer(timedelta(hours=1))
    quiet(tmp_path, callbacks=[timer]).fit(Boring(), loader(), loader())
    assert 0 < timer.time_elapsed("train") < 60
    assert timer.time_elapsed("validate") > 0
    assert timer.time_remaining() < 3600
    with pytest.raises(MisconfigurationException, match="DD:HH:MM:SS"):
        Timer("an hour")


def test_summary(tmp_path, capsys) -> None:
    module = Boring()
    module.example_input_array = torch.zeros(2, 4)
    quiet(tmp_path, callbacks=[ModelSummary()], enable_model_summary=None).fit(module, loader())
    printed = capsys.readouterr().out
    assert "0 | layer | Linear | 15     | train | [2, 4]   | [2, 3]" in printed
    assert "15        Trainable params" in printed
    assert module.training


def test_lambda_callback(tmp_path) -> None:
    seen: list[int] = []
    shout = LambdaCallback(on_train_epoch_end=lambda trainer, module: seen.append(1))
    quiet(tmp_path, max_epochs=3, callbacks=shout).fit(Boring(), loader())
    assert seen == [1, 1, 1]
    with pytest.raises(TypeError, match="on_lunch"):
        LambdaCallback(on_lunch=print)


def test_keyboard_interrupt_raised_by_somebody(tmp_path) -> None:
    class Stops(Boring):
        def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
            if batch_idx == 2:
                raise KeyboardInterrupt

    trainer = quiet(tmp_path, enable_checkpointing=True)
    with pytest.raises(SystemExit):
        trainer.fit(Stops(), loader())
    assert trainer.interrupted
    assert torch.load(tmp_path / "checkpoints" / "interrupted.ckpt")["global_step"] == 3
