"""The settings of an experiment, and what became of it, as TensorBoard's page of them reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rushlight._tensor import Tensor
from rushlight.utils.tensorboard._arrays import as_array
from rushlight.utils.tensorboard._protos import (
    ListedValue,
    ListValue,
    Summary,
    SummaryMetadata,
    hparams_api,
    hparams_data,
    hparams_metadata,
)


def _summary(tag: str, **content: Any) -> Any:
    data = hparams_data.HParamsPluginData(version=hparams_metadata.PLUGIN_DATA_VERSION, **content)
    plugin = SummaryMetadata.PluginData(
        plugin_name=hparams_metadata.PLUGIN_NAME, content=data.SerializeToString()
    )
    return Summary(value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))])


def _plain(name: str, value: Any) -> float | str:
    """A setting as a number or words; the page has PyTorch's truth values as numbers, too."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float, np.generic)):
        return float(value)
    if isinstance(value, Tensor):
        return float(as_array(value).reshape(-1)[0])
    raise ValueError(
        "value should be one of int, float, str, bool, or torch.Tensor\n"
        f"{name!r} is of type {type(value).__name__}; log it as str({name})."
    )


def _listed(value: float | str) -> Any:
    if isinstance(value, str):
        return ListedValue(string_value=value)
    return ListedValue(number_value=value)


def _checked(
    hparam_dict: Any, metric_dict: Any, hparam_domain_discrete: Any
) -> Mapping[str, list[Any]]:
    domains = hparam_domain_discrete or {}
    for given, name in (
        (hparam_dict, "hparam_dict"),
        (metric_dict, "metric_dict"),
        (domains, "hparam_domain_discrete"),
    ):
        if not isinstance(given, dict):
            raise TypeError(f"parameter: {name} should be a dictionary, nothing logged.")
    checked: dict[str, list[Any]] = domains
    for name, among in checked.items():
        kind = type(hparam_dict.get(name))
        if (
            name not in hparam_dict
            or not isinstance(among, list)
            or not all(isinstance(one, kind) for one in among)
        ):
            raise TypeError(
                f"parameter: hparam_domain_discrete[{name}] should be a list of same type as "
                f"hparam_dict[{name}]."
            )
    return checked


def hparams(
    hparam_dict: Any = None, metric_dict: Any = None, hparam_domain_discrete: Any = None
) -> tuple[Any, Any, Any]:
    """An experiment, its settings and its end, as three summaries.

    Args:
        hparam_dict: a number, text, truth value, tensor of one number or ``None`` by name.
        metric_dict: what is measured, by tag.
        hparam_domain_discrete: all values that a setting may have, by name.

    Raises:
        TypeError: they are no dictionaries, or a domain does not fit its setting.
        ValueError: a setting is of another type.

    >>> from rushlight.utils.tensorboard import summary
    >>> experiment, start, end = summary.hparams({"lr": 0.1}, {"accuracy": 0.9})
    >>> experiment.value[0].tag, start.value[0].tag
    ('_hparams_/experiment', '_hparams_/session_start_info')
    """
    domains = _checked(hparam_dict, metric_dict, hparam_domain_discrete)
    start = hparams_data.SessionStartInfo()
    infos = []
    for name, value in hparam_dict.items():
        if value is None:
            continue
        plain = _plain(name, value)
        start.hparams[name].CopyFrom(_listed(plain))
        kind = "DATA_TYPE_STRING" if isinstance(plain, str) else "DATA_TYPE_FLOAT64"
        among = None
        if name in domains and not isinstance(value, Tensor):
            among = ListValue(values=[_listed(_plain(name, one)) for one in domains[name]])
        info = hparams_api.HParamInfo(
            name=name, type=hparams_api.DataType.Value(kind), domain_discrete=among
        )
        infos.append(info)
    metrics = [hparams_api.MetricInfo(name=hparams_api.MetricName(tag=tag)) for tag in metric_dict]
    experiment = hparams_api.Experiment(hparam_infos=infos, metric_infos=metrics)
    end = hparams_data.SessionEndInfo(status=hparams_api.Status.Value("STATUS_SUCCESS"))
    return (
        _summary(hparams_metadata.EXPERIMENT_TAG, experiment=experiment),
        _summary(hparams_metadata.SESSION_START_INFO_TAG, session_start_info=start),
        _summary(hparams_metadata.SESSION_END_INFO_TAG, session_end_info=end),
    )
