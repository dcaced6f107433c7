"""What the trainer is told: names of other versions, and what is refused."""

from __future__ import annotations

import warnings
from typing import Any

from rushlight.lightning.utilities.exceptions import MisconfigurationException

#: Options of Lightning 1.x that mean something here under another name.
_RENAMED = {
    "max_nb_epochs": "max_epochs",
    "min_nb_epochs": "min_epochs",
    "row_log_interval": "log_every_n_steps",
    "num_sanity_val_batches": "num_sanity_val_steps",
    "overfit_pct": "overfit_batches",
    "train_percent_check": "limit_train_batches",
    "val_percent_check": "limit_val_batches",
    "test_percent_check": "limit_test_batches",
    "checkpoint_callback": "enable_checkpointing",
    "terminate_on_nan": "detect_anomaly",
    "gradient_clip": "gradient_clip_val",
    "default_save_path": "default_root_dir",
}

#: Options whose effect on one processor is none, whatever their value.
_WITHOUT_EFFECT = (
    "amp_backend", "amp_level", "auto_select_gpus", "barebones", "benchmark",
    "enable_autolog_hparams", "flush_logs_every_n_steps", "log_gpu_memory",
    "move_metrics_to_cpu", "multiple_trainloader_mode", "prepare_data_per_node",
    "process_position", "replace_sampler_ddp", "sync_batchnorm", "use_distributed_sampler",
)  # fmt: skip

#: Options that would have an effect, with what does it here.
_ABSENT = {
    "auto_lr_find": "choose the learning rate yourself",
    "auto_scale_batch_size": "choose the batch size yourself",
    "num_nodes": "this trainer runs on one machine",
    "num_processes": "for several processes use torch.distributed and `rushlight launch`",
    "plugins": "there are none",
    "profiler": "use torch.profiler around trainer.fit()",
    "stochastic_weight_avg": "use torch.optim.swa_utils in a callback",
    "strategy": "for several processes use torch.distributed and `rushlight launch`",
    "tpu_cores": "there are none here",
    "track_grad_norm": "log the norm in on_before_optimizer_step()",
    "truncated_bptt_steps": "cut the sequence in training_step()",
}

#: What says of them that they are not wanted.
_NOT_WANTED = (None, False, "", -1, 0, 1, "auto")

_ON_PROCESSORS = ("auto", "cpu", None)


def modern(given: dict[str, Any], settings: dict[str, Any]) -> None:
    """Enter options under old names into ``settings``.

    Raises:
        TypeError: there is no such option.
        MisconfigurationException: it does something that is not done here.
    """
    for name, value in given.items():
        if name in _RENAMED:
            settings[_RENAMED[name]] = value
        elif name == "progress_bar_refresh_rate":
            settings["progress_bar_refresh_rate"] = value
            settings["enable_progress_bar"] = value != 0
        elif name == "weights_summary":
            settings["enable_model_summary"] = value is not None
        elif name == "resume_from_checkpoint":
            settings["resume_from_checkpoint"] = value
        elif name in ("gpus", "num_gpus"):
            if value not in (None, 0, "0", "", []):
                warnings.warn(
                    f"Trainer({name}={value!r}): there is no GPU here; the run goes on on the "
                    "processor",
                    stacklevel=3,
                )
        elif name in _ABSENT:
            if value not in _NOT_WANTED:
                raise MisconfigurationException(
                    f"Trainer({name}={value!r}) is not supported: {_ABSENT[name]}"
                )
        elif name not in _WITHOUT_EFFECT:
            raise TypeError(f"Trainer.__init__() got an unexpected keyword argument '{name}'")


def check(settings: dict[str, Any]) -> None:
    """Refuse options that do not fit together.

    Raises:
        MisconfigurationException: with what is allowed.
    """
    if settings["accelerator"] not in _ON_PROCESSORS:
        raise MisconfigurationException(
            f"You selected an invalid accelerator name: `accelerator={settings['accelerator']!r}`. "
            "Available names are: auto, cpu."
        )
    devices = settings["devices"]
    if devices not in ("auto", None, 1, "1", [0]):
        raise MisconfigurationException(
            f"devices={devices!r}: this trainer runs in one process; for several use "
            "torch.distributed and `rushlight launch`"
        )
    if settings["fast_dev_run"] is not True and settings["fast_dev_run"] < 0:
        raise MisconfigurationException(
            f"fast_dev_run={settings['fast_dev_run']!r} is not a valid configuration. It should "
            "be >= 0."
        )
    if settings["max_epochs"] is not None and settings["max_epochs"] < -1:
        raise MisconfigurationException(
            "`max_epochs` must be a non-negative integer or -1. You passed in "
            f"{settings['max_epochs']}."
        )
    if settings["max_steps"] < -1:
        raise MisconfigurationException(
            "`max_steps` must be a non-negative integer or -1 (infinite steps). You passed in "
            f"{settings['max_steps']}."
        )
    algorithm = settings["gradient_clip_algorithm"]
    if algorithm is not None and algorithm not in ("norm", "value"):
        raise MisconfigurationException(
            f"`gradient_clip_algorithm` {algorithm} is invalid. Allowed algorithms: "
            "['value', 'norm']."
        )
    if settings["accumulate_grad_batches"] < 1:
        raise ValueError("`accumulate_grad_batches` must be an integer of at least 1")
    every = settings["check_val_every_n_epoch"]
    if every is None and isinstance(settings["val_check_interval"], float):
        raise MisconfigurationException(
            "`val_check_interval` should be an integer when `check_val_every_n_epoch=None`, found "
            f"{settings['val_check_interval']!r}"
        )


def fast(settings: dict[str, Any]) -> None:
    """What ``fast_dev_run`` means: a few batches of everything, and nothing written."""
    count = int(settings["fast_dev_run"])
    settings.update(
        max_epochs=1, max_steps=count, num_sanity_val_steps=0, check_val_every_n_epoch=1,
        val_check_interval=1.0, limit_train_batches=count, limit_val_batches=count,
        limit_test_batches=count, limit_predict_batches=count, logger=False,
        enable_checkpointing=False, log_every_n_steps=1,
    )  # fmt: skip
