"""What the trainer's options do."""

from __future__ import annotations

import importlib.util
import math
import warnings

import pytest

import rushlight as torch
import rushlight.lightning as pl
from rushlight import nn
from rushlight.lightning.utilities import CombinedLoader, MisconfigurationException
from rushlight.utils.data import DataLoader, IterableDataset
from tests.lightning.boring import Boring, data, loader, numbers, quiet


class Counting(Boring):
    """Counts its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = {"train": 0, "val": 0, "test": 0, "predict": 0, "sanity": 0}
        self.batches: list[list[float]] = []

    def training_step(self, batch, batch_idx):
        self.seen["train"] += 1
        self.batches.append(batch[0][:, 0].tolist())
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self.seen["sanity" if self.trainer.sanity_checking else "val"] += 1
        return super().validation_step(batch, batch_idx)

    def test_step(self, batch, batch_idx):
        self.seen["test"] += 1
        return super().test_step(batch, batch_idx)

    def predict_step(self, batch, batch_idx):
        self.seen["predict"] += 1
        return self(batch[0])


def test_all_four(tmp_path) -> None:
    trainer, module = quiet(tmp_path, max_epochs=3), Counting()
    trainer.fit(module, loader(), loader(8))
    assert module.seen == {"train": 18, "val": 6, "test": 0, "predict": 0, "sanity": 2}
    assert (trainer.current_epoch, trainer.global_step) == (3, 18)
    assert set(trainer.callback_metrics) == {"train_loss", "val_loss"}
    (validated,) = trainer.validate(module, loader(8), verbose=False)
    (tested,) = trainer.test(module, loader(8), verbose=False)
    assert validated["val_loss"] == tested["test_loss"]
    predictions = trainer.predict(module, loader())
    assert [tuple(p.shape) for p in predictions] == [(4, 3)] * 6
    assert not predictions[0].requires_grad
    assert trainer.predict(module, loader(), return_predictions=False) is None
    assert module.training


def test_the_default_prediction_is_the_output(tmp_path) -> None:
    class Plain(Boring):
        def forward(self, batch):
            return super().forward(batch[0])

    assert len(quiet(tmp_path).predict(Plain(), loader())) == 6


def test_steps_and_epochs(tmp_path) -> None:
    for options, steps, epochs in [
        ({"max_epochs": 2}, 12, 2),
        ({"max_steps": 8, "max_epochs": None}, 8, 2),
        ({"max_steps": 4, "max_epochs": 5}, 4, 1),
        ({"max_epochs": 0}, 0, 0),
        ({"max_steps": 0}, 0, 0),
        ({"max_epochs": 4, "accumulate_grad_batches": 4}, 8, 4),
    ]:
        trainer = quiet(tmp_path, **options)
        trainer.fit(Boring(), loader())
        assert (trainer.global_step, trainer.current_epoch) == (steps, epochs), options
    assert pl.Trainer(logger=False, enable_checkpointing=False).max_epochs == 1000


def test_stopping_waits_for_the_least(tmp_path) -> None:
    class Stops(Boring):
        def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
            self.trainer.should_stop = True

    for options, steps in [({}, 1), ({"min_epochs": 2}, 12), ({"min_steps": 3}, 3)]:
        trainer = quiet(tmp_path, max_epochs=5, **options)
        trainer.fit(Stops(), loader())
        assert trainer.global_step == steps, options


def test_limits(tmp_path) -> None:
    module = Counting()
    trainer = quiet(
        tmp_path, max_epochs=2, limit_train_batches=0.5, limit_val_batches=1,
        limit_test_batches=2, limit_predict_batches=3, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, loader(), loader())
    trainer.test(module, loader(), verbose=False)
    trainer.predict(module, loader())
    assert module.seen == {"train": 6, "val": 2, "test": 2, "predict": 3, "sanity": 0}
    assert trainer.num_training_batches == 0  # no longer training
    with pytest.raises(MisconfigurationException, match=r"0.1 \* 6 < 1.*limit_train_batches"):
        quiet(tmp_path, limit_train_batches=0.1).fit(Boring(), loader())
    with pytest.raises(MisconfigurationException, match="invalid value"):
        quiet(tmp_path, limit_train_batches=1.5).fit(Boring(), loader())


def test_fast_dev_run(tmp_path) -> None:
    module = Counting()
    trainer = pl.Trainer(
        fast_dev_run=2, default_root_dir=tmp_path, enable_progress_bar=False, max_epochs=50
    )
    trainer.fit(module, loader(), loader())
    assert module.seen == {"train": 2, "val": 2, "test": 0, "predict": 0, "sanity": 0}
    assert list(tmp_path.iterdir()) == []
    assert trainer.loggers == []


def test_overfit_batches_takes_the_same_ones(tmp_path) -> None:
    module = Counting()
    trainer = quiet(tmp_path, overfit_batches=2, max_epochs=3)
    trainer.fit(module, loader(shuffle=True), loader())
    assert module.batches[0:2] == module.batches[2:4] == module.batches[4:6]
    assert module.batches[0] == data().tensors[0][:4, 0].tolist()
    losses = numbers(module.losses)
    assert losses[-1] < losses[1]


def test_when_it_validates(tmp_path) -> None:
    for options, expected in [
        ({}, [6, 12]),
        ({"check_val_every_n_epoch": 2}, [12]),
        ({"val_check_interval": 0.5}, [3, 6, 9, 12]),
        ({"val_check_interval": 4}, [4, 10]),
        ({"val_check_interval": 5, "check_val_every_n_epoch": None}, [5, 10]),
        ({"limit_val_batches": 0}, []),
    ]:
        seen: list[int] = []

        class Note(pl.Callback):
            def on_validation_start(self, trainer, pl_module, seen=seen) -> None:
                seen.append(trainer.global_step)

        settings = {"max_epochs": 2, "num_sanity_val_steps": 0, **options}
        quiet(tmp_path, callbacks=Note(), **settings).fit(Boring(), loader(), loader())
        assert seen == expected, options
    with pytest.raises(ValueError, match="must be less than or equal to the number"):
        quiet(tmp_path, val_check_interval=50).fit(Boring(), loader(), loader())
    with pytest.raises(MisconfigurationException, match="should be an integer"):
        quiet(tmp_path, val_check_interval=0.5, check_val_every_n_epoch=None)


def test_sanity_check_shows_mistakes_first(tmp_path) -> None:
    class Wrong(Counting):
        def validation_step(self, batch, batch_idx):
            raise ZeroDivisionError

    module = Wrong()
    with pytest.raises(ZeroDivisionError):
        quiet(tmp_path).fit(module, loader(), loader())
    assert module.seen["train"] == 0
    module = Counting()
    quiet(tmp_path, num_sanity_val_steps=-1).fit(module, loader(), loader())
    assert module.seen["sanity"] == 6


@pytest.mark.parametrize(("algorithm", "bound"), [("norm", 0.01), ("value", 0.003)])
def test_gradient_clipping(tmp_path, algorithm: str, bound: float) -> None:
    class Looks(Boring):
        def configure_gradient_clipping(self, optimizer, gradient_clip_val=None,
                                        gradient_clip_algorithm=None):  # fmt: skip
            super().configure_gradient_clipping(
                optimizer, gradient_clip_val, gradient_clip_algorithm
            )
            gradients = [p.grad for p in self.parameters()]
            norm = math.sqrt(sum((g * g).sum().item() for g in gradients))
            largest = max(g.abs().max().item() for g in gradients)
            found.append(norm if gradient_clip_algorithm == "norm" else largest)

    found: list[float] = []
    trainer = quiet(tmp_path, gradient_clip_val=bound, gradient_clip_algorithm=algorithm)
    trainer.fit(Looks(), loader())
    assert found == pytest.approx([bound] * 6, rel=1e-4)


def test_accumulated_gradients_are_the_mean(tmp_path) -> None:
    losses = []
    for size, parts in [(4, 3), (12, 1)]:
        module = Boring()
        trainer = quiet(tmp_path, max_epochs=3, accumulate_grad_batches=parts)
        trainer.fit(module, loader(batch_size=size))
        losses.append(module.layer.weight.detach().reshape(-1).tolist())
        assert trainer.global_step == 6
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_precision(tmp_path) -> None:
    for given, name, found in [
        (None, "32-true", torch.float32),
        (32, "32-true", torch.float32),
        ("64-true", "64-true", torch.float64),
        (64, "64-true", torch.float64),
        ("bf16-true", "bf16-true", torch.bfloat16),
    ]:
        module = Boring()
        trainer = quiet(tmp_path, precision=given)
        trainer.fit(module, loader())
        assert trainer.precision.name == name
        assert module.layer.weight.dtype == module.losses[0].dtype == found
    with pytest.raises(MisconfigurationException, match="needs a GPU"):
        quiet(tmp_path, precision="16-mixed")
    with pytest.raises(ValueError, match="Precision 'half' is invalid"):
        quiet(tmp_path, precision="half")


def test_mixed_precision_or_a_clear_refusal(tmp_path) -> None:
    class Looks(Boring):
        def training_step(self, batch, batch_idx):
            kinds.append(self(batch[0]).dtype)
            return super().training_step(batch, batch_idx)

    kinds: list = []
    if importlib.util.find_spec("rushlight.amp") is None:
        with pytest.raises(MisconfigurationException, match="needs autocast"):
            quiet(tmp_path, precision="bf16-mixed")
        return
    module = Looks()
    quiet(tmp_path, precision="bf16-mixed").fit(module, loader())
    assert kinds[0] == torch.bfloat16
    assert module.layer.weight.dtype == torch.float32


def test_detect_anomaly_names_the_operation(tmp_path) -> None:
    class Divides(Boring):
        def training_step(self, batch, batch_idx):
            zero = self(batch[0]).sum() * 0
            return zero / zero

    with pytest.raises(RuntimeError, match="DivBackward0"):
        quiet(tmp_path, detect_anomaly=True).fit(Divides(), loader())
    assert not torch.is_anomaly_enabled()


def test_deterministic_holds_during_the_run(tmp_path) -> None:
    class Looks(Boring):
        def on_train_start(self) -> None:
            found.append(torch.are_deterministic_algorithms_enabled())

    found: list[bool] = []
    quiet(tmp_path, deterministic=True).fit(Looks(), loader())
    assert found == [True]
    assert not torch.are_deterministic_algorithms_enabled()


def test_evaluation_modes(tmp_path) -> None:
    class Looks(Boring):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = nn.Dropout(0.5).eval()
            self.modes: list = []

        def validation_step(self, batch, batch_idx):
            self.modes.append((self.training, torch.is_grad_enabled()))
            self.modes.append(torch.is_inference_mode_enabled())

    for inference in (True, False):
        module = Looks()
        trainer = quiet(tmp_path, inference_mode=inference, limit_val_batches=1)
        trainer.fit(module, loader(), loader())
        assert set(module.modes) == {(False, False), inference}
        assert module.training
        assert not module.frozen.training


class Endless(IterableDataset):
    """A stream that does not say how long it is."""

    def __iter__(self):
        x, y = data().tensors
        return ((x[i], y[i]) for i in range(24))


def test_streams(tmp_path) -> None:
    class Looks(Boring):
        def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
            last.append(self.trainer.is_last_batch)

    last: list[bool] = []
    trainer = quiet(tmp_path, accumulate_grad_batches=4)
    trainer.fit(Looks(), DataLoader(Endless(), 4), DataLoader(Endless(), 4))
    assert last == [False] * 5 + [True]
    assert trainer.global_step == 2
    assert "val_loss" in trainer.callback_metrics
    with pytest.raises(MisconfigurationException, match="must be `1\\.0` or an int"):
        quiet(tmp_path, limit_train_batches=0.5).fit(Boring(), DataLoader(Endless(), 4))
    trainer = quiet(tmp_path, limit_train_batches=3)
    trainer.fit(Boring(), DataLoader(Endless(), 4))
    assert trainer.global_step == 3


def test_several_loaders(tmp_path) -> None:
    class Two(Boring):
        def training_step(self, batch, batch_idx):
            a, b = batch["a"], batch["b"]
            return self.loss(a) + self.loss(b)

        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            seen.append((batch_idx, dataloader_idx))
            self.log("loss", self.loss(batch))
            self.log("plain", float(dataloader_idx), add_dataloader_idx=False) if (
                dataloader_idx == 0
            ) else None

    seen: list[tuple[int, int]] = []
    trainer = quiet(tmp_path, num_sanity_val_steps=0)
    trainer.fit(Two(), {"a": loader(), "b": loader(8)}, [loader(4), loader(8)])
    assert trainer.global_step == 6
    assert seen == [(0, 0), (0, 1), (1, 1)]
    assert {"loss/dataloader_idx_0", "loss/dataloader_idx_1", "plain"} <= set(
        trainer.callback_metrics
    )
    first, second = trainer.validate(dataloaders=[loader(4), loader(8)], verbose=False)
    assert set(first) == {"loss/dataloader_idx_0", "plain"}
    assert set(second) == {"loss/dataloader_idx_1", "plain"}
    both = CombinedLoader([loader(8), loader(4)], "sequential")
    assert [(i, n) for _, i, n in both] == [(0, 0), (1, 0), (0, 1)]
    with pytest.raises(ValueError, match="Unsupported mode"):
        CombinedLoader([], "all")


def test_results_are_printed(tmp_path, capsys) -> None:
    quiet(tmp_path).test(Boring(), loader())
    printed = capsys.readouterr().out
    assert "Test metric" in printed
    assert "test_loss" in printed


def test_what_is_refused(tmp_path) -> None:
    with pytest.raises(TypeError, match="must be a `LightningModule`, got `Linear`"):
        quiet(tmp_path).fit(nn.Linear(1, 1), loader())
    with pytest.raises(MisconfigurationException, match="No `training_step"):
        quiet(tmp_path).fit(pl.LightningModule(), loader())
    with pytest.raises(MisconfigurationException, match="invalid dataloader"):
        quiet(tmp_path).fit(Boring())
    with pytest.raises(MisconfigurationException, match="No `test_step"):
        quiet(tmp_path).test(pl.LightningModule(), loader())
    with pytest.raises(MisconfigurationException, match="Available names are: auto, cpu"):
        quiet(tmp_path, accelerator="gpu")
    with pytest.raises(MisconfigurationException, match="one process"):
        quiet(tmp_path, devices=4)
    with pytest.raises(MisconfigurationException, match=r"profiler='simple'.*torch\.profiler"):
        quiet(tmp_path, profiler="simple")
    with pytest.raises(MisconfigurationException, match="strategy='ddp'"):
        quiet(tmp_path, strategy="ddp")
    assert quiet(tmp_path, strategy="auto", num_nodes=1, benchmark=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'epochs'"):
        pl.Trainer(epochs=3)


def test_names_of_older_versions(tmp_path) -> None:
    trainer = pl.Trainer(
        gpus=0, max_epochs=1, progress_bar_refresh_rate=0, weights_summary=None, logger=False,
        checkpoint_callback=False, default_root_dir=tmp_path, amp_level="O1",
    )  # fmt: skip
    assert trainer.callbacks == []
    trainer.fit(Boring(), train_dataloader=loader(), val_dataloaders=loader())
    assert trainer.test(test_dataloaders=loader(), verbose=False)
    with pytest.warns(UserWarning, match="no GPU"):
        pl.Trainer(gpus=1, logger=False, checkpoint_callback=False)


def test_an_error_is_told_and_goes_on(tmp_path) -> None:
    class Breaks(Boring):
        def training_step(self, batch, batch_idx):
            if batch_idx == 2:
                raise ValueError("mine")
            return super().training_step(batch, batch_idx)

    class Note(pl.Callback):
        def on_exception(self, trainer, pl_module, exception) -> None:
            told.append(str(exception))

        def teardown(self, trainer, pl_module, stage) -> None:
            told.append(stage)

    told: list[str] = []
    trainer = quiet(tmp_path, callbacks=[Note()])
    with pytest.raises(ValueError, match="mine"):
        trainer.fit(Breaks(), loader())
    assert told == ["mine", "fit"]
    assert trainer.state.status == "interrupted"
    trainer.fit(Boring(), loader())
    assert trainer.state.status == "finished"


def test_a_step_without_loss_is_left_out(tmp_path) -> None:
    class Skips(Boring):
        def training_step(self, batch, batch_idx):
            return None if batch_idx % 2 else super().training_step(batch, batch_idx)

    quiet(tmp_path).fit(Skips(), loader())

    class Wrong(Boring):
        def training_step(self, batch, batch_idx):
            return {"output": 1}

    with pytest.raises(MisconfigurationException, match="'loss' key"):
        quiet(tmp_path).fit(Wrong(), loader())


def test_skipping_the_rest_of_an_epoch(tmp_path) -> None:
    class Skips(Boring):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == 2 else None

    trainer = quiet(tmp_path, max_epochs=3)
    trainer.fit(Skips(), loader())
    assert (trainer.global_step, trainer.current_epoch) == (6, 3)


def test_batches_are_prepared(tmp_path) -> None:
    class Prepares(Boring):
        def on_before_batch_transfer(self, batch, dataloader_idx):
            return [batch[0] * 0, batch[1]]

        def on_after_batch_transfer(self, batch, dataloader_idx):
            return [batch[0] + 1, batch[1]]

        def training_step(self, batch, batch_idx):
            assert (batch[0] == 1).all()
            return super().training_step(batch, batch_idx)

    quiet(tmp_path).fit(Prepares(), loader())


def test_seeds(tmp_path) -> None:
    assert pl.seed_everything(5, verbose=False) == 5
    first = torch.rand(3)
    pl.seed_everything(5, workers=True, verbose=False)
    assert torch.equal(torch.rand(3), first)
    with pytest.raises(ValueError, match="not in bounds"):
        pl.seed_everything(-1)
    assert 0 <= pl.seed_everything(verbose=False) < 2**32


def test_no_warning_on_the_way(tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet(tmp_path, max_epochs=2).fit(Boring(), loader(), loader())
