"""What a checkpoint holds, and going on from one.

Note: everything that decides the next step
    Besides parameters, optimizers, schedules and callbacks a checkpoint holds how far the loop
    was, the states of all generators now and when the epoch began, the sums of what was logged,
    the states of metrics, and how far every recorded program had come
    (``engine/runtime/history.py``). All of it is plain data, so that loading it runs no code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rushlight._creation import tensor
from rushlight._serialization import load, save
from rushlight.engine.core.dtype import float64
from rushlight.engine.runtime import history
from rushlight.engine.runtime.executor import flush
from rushlight.lightning.hparams import to_plain
from rushlight.lightning.logged import as_number
from rushlight.lightning.metrics.metric import Metric
from rushlight.lightning.progress import Progress
from rushlight.lightning.saving import (
    DATA_HPARAMS_KEY,
    DATA_HPARAMS_NAME,
    HPARAMS_KEY,
    HPARAMS_NAME,
)

#: The version of Lightning whose checkpoints have these keys.
FORMAT = "2.6.0"


def dump(trainer: Any, weights_only: bool = False) -> dict[str, Any]:
    """Everything a checkpoint holds.

    Args:
        trainer: in the middle of a run, or after it.
        weights_only: leave out what is only needed to train on.
    """
    module, progress = trainer.lightning_module, trainer.progress
    checkpoint: dict[str, Any] = {
        "epoch": progress.epoch,
        "global_step": progress.steps,
        "pytorch-lightning_version": FORMAT,
        "state_dict": module.state_dict(),
        "loops": {"fit_loop": progress.state()},
    }
    if not weights_only:
        checkpoint["callbacks"] = {
            callback.state_key: state
            for callback in trainer.callbacks
            if (state := callback.state_dict())
        }
        checkpoint["optimizer_states"] = [each.state_dict() for each in trainer.optimizers]
        checkpoint["lr_schedulers"] = [
            config.scheduler.state_dict() for config in trainer.lr_scheduler_configs
        ]
    _add_hparams(checkpoint, module, HPARAMS_KEY, HPARAMS_NAME)
    data = trainer.datamodule
    if data is not None:
        _add_hparams(checkpoint, data, DATA_HPARAMS_KEY, DATA_HPARAMS_NAME)
        if not weights_only and (state := data.state_dict()):
            checkpoint[type(data).__qualname__] = state
    if not weights_only:
        for callback in trainer.callbacks:
            callback.on_save_checkpoint(trainer, module, checkpoint)
        if data is not None:
            data.on_save_checkpoint(checkpoint)
    module.on_save_checkpoint(checkpoint)
    if not weights_only:
        checkpoint["resume"] = _resume_state(trainer)
    return checkpoint


def _add_hparams(checkpoint: dict[str, Any], owner: Any, key: str, name_key: str) -> None:
    if owner.hparams:
        checkpoint[key] = to_plain(owner.hparams)
        checkpoint[name_key] = getattr(owner, "_hparams_name", "kwargs")


def _resume_state(trainer: Any) -> dict[str, Any]:
    """What makes the next step the one that would have come."""
    loop = trainer.training_loop
    kept: dict[str, Any] = {"values": {k: as_number(v) for k, v in trainer.seen.items()}}
    if loop is None:
        return kept
    kept["begun"] = loop.source.begun
    kept["logged"] = loop.logged.state()
    kept["outputs"] = loop.outputs
    kept["metrics"] = {
        name: {"states": metric.states(), "count": metric.update_count}
        for name, metric in _metrics(trainer.lightning_module)
    }
    flush("checkpoint")
    kept["programs"] = _packed(history.recorded())
    kept["now"] = loop.source.states()
    return kept


def _metrics(module: Any) -> Iterator[tuple[str, Metric]]:
    for name, child in module.named_modules():
        if isinstance(child, Metric):
            yield name, child


def _packed(programs: dict[str, Any]) -> dict[str, Any]:
    """The history in few objects: one tensor with a row for every program."""
    entries = programs["programs"]
    columns = ("runs", "seen", "compiled", "refused", "varying")
    rows = [[float(entry[column]) for column in columns] for entry in entries.values()]
    table = tensor(rows, dtype=float64) if rows else None
    return {"runs": programs["runs"], "names": "\n".join(entries), "rows": table}


def _unpacked(packed: dict[str, Any]) -> dict[str, Any]:
    names = packed["names"].split("\n") if packed["names"] else []
    rows = [] if packed["rows"] is None else packed["rows"].tolist()
    entries = {
        name: {
            "runs": int(runs), "seen": int(seen), "compiled": bool(compiled),
            "refused": bool(refused), "varying": bool(varying),
        }
        for name, (runs, seen, compiled, refused, varying) in zip(names, rows, strict=True)
    }  # fmt: skip
    return {"runs": packed["runs"], "programs": entries}


def write(trainer: Any, path: Any, weights_only: bool = False) -> None:
    """Write a checkpoint: the old file or the new one is there, whole, whatever happens."""
    save(dump(trainer, weights_only), path)


def read(path: Any, weights_only: bool | None = None) -> dict[str, Any]:
    """The contents of a checkpoint.

    Raises:
        ValueError: it is none.
    """
    checkpoint = load(path, map_location="cpu", weights_only=weights_only)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(
            f"{path} is no checkpoint of a trainer: it has no 'state_dict'. Files of parameters "
            "alone are loaded with model.load_state_dict(torch.load(path))"
        )
    return checkpoint


def restore_module(trainer: Any, checkpoint: dict[str, Any], training: bool) -> None:
    """Set the parameters, and the states of callbacks and data module."""
    module, data = trainer.lightning_module, trainer.datamodule
    states = checkpoint.get("callbacks", {}) if training else {}
    for callback in trainer.callbacks:
        if training:
            callback.on_load_checkpoint(trainer, module, checkpoint)
        if callback.state_key in states:
            callback.load_state_dict(states[callback.state_key])
    if data is not None:
        data.on_load_checkpoint(checkpoint)
        if type(data).__qualname__ in checkpoint:
            data.load_state_dict(checkpoint[type(data).__qualname__])
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"], strict=getattr(module, "strict_loading", True))


def restore_training(trainer: Any, checkpoint: dict[str, Any]) -> None:
    """Set optimizers, schedules and the loop, so that the next step is the one that was due.

    Raises:
        KeyError: the checkpoint was written with ``save_weights_only``.
    """
    if "optimizer_states" not in checkpoint or "lr_schedulers" not in checkpoint:
        raise KeyError(
            "Trying to restore training state but checkpoint contains only the model. This is "
            "probably due to `ModelCheckpoint.save_weights_only` being set to `True`."
        )
    for optimizer, state in zip(trainer.optimizers, checkpoint["optimizer_states"], strict=True):
        optimizer.load_state_dict(state)
    configs = zip(trainer.lr_scheduler_configs, checkpoint["lr_schedulers"], strict=True)
    for config, state in configs:
        config.scheduler.load_state_dict(state)
    loops = checkpoint.get("loops", {}).get("fit_loop", {})
    if set(loops) == set(Progress().state()):
        vars(trainer.progress).update(loops)
    else:  # of Lightning itself: the beginning of an epoch is what we can go on from
        trainer.progress.epoch = checkpoint["epoch"] + 1
        trainer.progress.steps = trainer.progress.stepped = checkpoint["global_step"]
        return
    if trainer.progress.ended:
        trainer.progress.epoch += 1
        trainer.progress.batch, trainer.progress.ended = 0, False


def restore_place(trainer: Any, kept: dict[str, Any]) -> None:
    """Go to the place in the epoch; the last thing before training goes on.

    Args:
        kept: what the checkpoint holds under ``resume``; nothing of it may be held by the caller
            in the next step, or memory that was free then is not.
    """
    loop = trainer.training_loop
    progress: Progress = trainer.progress
    trainer.seen.update(kept.get("values", {}))
    if "now" not in kept:
        return
    begun, now = kept["begun"], kept["now"]
    programs = _unpacked(kept["programs"])
    flush("checkpoint")
    history.restore(programs)  # so that batches loaded again come in the same bits
    if progress.batch and begun is not None:
        progress.middle = True
        loop.source.resume(progress.epoch, progress.batch, begun, now)
        loop.logged.load_state(kept["logged"])
        if loop.outputs is not None:
            loop.outputs[:] = kept["outputs"] or []
        metrics = dict(_metrics(trainer.lightning_module))
        for name, saved in kept["metrics"].items():
            if name in metrics:
                metrics[name].load_states(saved["states"], saved["count"])
    else:
        loop.source.restore(now)
    kept.clear()
    flush("checkpoint")
    history.restore(programs)
