"""What is logged as the records that TensorBoard reads, under PyTorch's names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rushlight.utils.tensorboard._arrays import Array, as_array, number
from rushlight.utils.tensorboard._hparams import hparams as hparams
from rushlight.utils.tensorboard._pictures import (
    audio as audio,
    image as image,
    image_boxes as image_boxes,
    video as video,
)
from rushlight.utils.tensorboard._protos import (
    HistogramProto,
    MeshPluginData,
    PrCurvePluginData,
    Summary,
    SummaryMetadata,
    TensorProto,
    TensorShapeProto,
    TextPluginData,
    layout_pb2,
    mesh_metadata,
    tensor_util,
)

#: The edges of a histogram by default: each a tenth farther out than the one before, both ways.
_STEPS = np.cumprod([1e-12] + [1.1] * 773).tolist()
EDGES: list[float] = [-x for x in reversed(_STEPS)] + [0.0] + _STEPS

#: The browser's page of curves cannot take more thresholds.
MOST_THRESHOLDS = 127


def _for_plugin(name: str, content: Any = b"") -> Any:
    data = SummaryMetadata.PluginData(plugin_name=name, content=content)
    return SummaryMetadata(plugin_data=data)


def _floats(array: Array) -> Any:
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in array.shape])
    return TensorProto(dtype="DT_FLOAT", float_val=array.reshape(-1).tolist(), tensor_shape=shape)


def scalar(
    name: str, tensor: Any, collections: Any = None, new_style: bool = False,
    double_precision: bool = False,
) -> Any:  # fmt: skip
    """One number as a summary.

    Args:
        name: its tag.
        tensor: a number of any kind, or a tensor of one element.
        collections: of no effect.
        new_style: write it as a tensor, not as a simple value.
        double_precision: with ``new_style``, in 64 bits.

    Raises:
        AssertionError: ``tensor`` has not one element.

    >>> from rushlight.utils.tensorboard import summary
    >>> summary.scalar("loss", 0.5).value[0].simple_value
    0.5
    """
    value = number(tensor)
    if not new_style:
        return Summary(value=[Summary.Value(tag=name, simple_value=value)])
    if double_precision:
        made = TensorProto(double_val=[value], dtype="DT_DOUBLE")
    else:
        made = TensorProto(float_val=[value], dtype="DT_FLOAT")
    return Summary(value=[Summary.Value(tag=name, tensor=made, metadata=_for_plugin("scalars"))])


def tensor_proto(tag: str, tensor: Any) -> Any:
    """A whole tensor as a summary.

    >>> import rushlight as torch
    >>> from rushlight.utils.tensorboard import summary
    >>> summary.tensor_proto("weights", torch.ones(2, 3)).value[0].tensor.tensor_shape.dim[1].size
    3
    """
    made = tensor_util.make_tensor_proto(np.ascontiguousarray(as_array(tensor)))
    return Summary(value=[Summary.Value(tag=tag, tensor=made, metadata=_for_plugin("tensor"))])


def _merged(counts: Array, edges: Array, most: int) -> tuple[Array, Array]:
    """Bins put together so that about ``most`` are left."""
    group = len(counts) // most
    padded = np.pad(counts, (0, -len(counts) % group))
    return padded.reshape(-1, group).sum(axis=1), np.concatenate([edges[:-1:group], edges[-1:]])


def histogram(name: str, values: Any, bins: Any, max_bins: int | None = None) -> Any:
    """How often which numbers occur, as a summary.

    Args:
        name: its tag.
        values: numbers, of any shape.
        bins: what ``numpy.histogram`` takes: their number, their edges, or a rule's name.
        max_bins: about how many are kept.

    Raises:
        ValueError: there are no numbers, or none in the bins.

    >>> from rushlight.utils.tensorboard import summary
    >>> made = summary.histogram("sizes", [1.0, 2.0, 2.5], bins=[0, 1, 2, 3, 4]).value[0].histo
    >>> made.bucket_limit, made.bucket
    ([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    """
    flat = as_array(values).astype(np.float64).reshape(-1)
    if not flat.size:
        raise ValueError("The input has no element.")
    counts, edges = np.histogram(flat, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        counts, edges = _merged(counts, edges, max_bins)
    used = np.flatnonzero(counts)
    if not used.size:
        raise ValueError(
            "The histogram is empty, please file a bug report.\n"
            "No number lies in a bin: are they all NaN?"
        )
    first, last = int(used[0]), int(used[-1]) + 1
    # a bucket is given by its right edge, so an empty one before the first gives that its left
    return histogram_raw(
        name, flat.min(), flat.max(), flat.size, flat.sum(), flat.dot(flat),
        edges[first : last + 1].tolist(), [0, *counts[first:last].tolist()],
    )  # fmt: skip


def histogram_raw(
    name: str, min: Any, max: Any, num: Any, sum: Any, sum_squares: Any, bucket_limits: Any,
    bucket_counts: Any,
) -> Any:  # fmt: skip
    """Numbers that have been counted already, as a summary.

    Args:
        name: its tag.
        min, max, num, sum, sum_squares: of the numbers.
        bucket_limits: the right edge of every bin.
        bucket_counts: how many are in it.

    >>> from rushlight.utils.tensorboard import summary
    >>> summary.histogram_raw("h", 0, 2, 3, 3, 5, [1, 2, 3], [1, 1, 1]).value[0].histo.num
    3.0
    """
    made = HistogramProto(
        min=min, max=max, num=num, sum=sum, sum_squares=sum_squares,
        bucket_limit=as_array(bucket_limits).tolist(), bucket=as_array(bucket_counts).tolist(),
    )  # fmt: skip
    return Summary(value=[Summary.Value(tag=name, histo=made)])


def text(tag: str, text: str) -> Any:
    """Words, shown as Markdown, as a summary.

    >>> from rushlight.utils.tensorboard import summary
    >>> summary.text("note", "**bold**").value[0].tag
    'note/text_summary'
    """
    made = TensorProto(
        dtype="DT_STRING", string_val=[text.encode("utf-8")],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )  # fmt: skip
    metadata = _for_plugin("text", TextPluginData(version=0).SerializeToString())
    value = Summary.Value(tag=f"{tag}/text_summary", metadata=metadata, tensor=made)
    return Summary(value=[value])


def compute_curve(
    labels: Any, predictions: Any, num_thresholds: int = MOST_THRESHOLDS, weights: Any = None
) -> Array:
    """True and false positives, true and false negatives, precision and recall, by threshold.

    Args:
        labels: 0 or 1 for each guess.
        predictions: its probability of being 1.
        num_thresholds: at so many thresholds from 0 to 1.
        weights: how much each guess counts (1 by default).

    Returns:
        (6, num_thresholds).

    >>> from rushlight.utils.tensorboard import summary
    >>> summary.compute_curve([1, 0, 1], [0.9, 0.6, 0.4], 3)[4]
    array([0.66666667, 0.5       , 0.        ])
    """
    truth, guesses = as_array(labels).astype(np.float64), as_array(predictions)
    weight = 1.0 if weights is None else as_array(weights)
    places = np.floor(guesses * (num_thresholds - 1)).astype(np.int32)
    edges = (0, num_thresholds - 1)
    # histogram counts at each threshold; what is counted at a higher one is positive here, too
    positive, negative = (
        np.cumsum(np.histogram(places, num_thresholds, edges, weights=share)[0][::-1])[::-1]
        for share in (truth * weight, (1.0 - truth) * weight)
    )
    missed = positive[0] - positive
    precision = positive / np.maximum(1e-7, positive + negative)
    recall = positive / np.maximum(1e-7, positive + missed)
    return np.stack([positive, negative, negative[0] - negative, missed, precision, recall])


def pr_curve(
    tag: str, labels: Any, predictions: Any, num_thresholds: int = MOST_THRESHOLDS,
    weights: Any = None,
) -> Any:  # fmt: skip
    """Precision against recall at every threshold, as a summary; see ``compute_curve``."""
    thresholds = min(num_thresholds, MOST_THRESHOLDS)
    rows = compute_curve(labels, predictions, thresholds, weights)
    tp, fp, tn, fn, precision, recall = rows
    return pr_curve_raw(tag, tp, fp, tn, fn, precision, recall, thresholds)


def pr_curve_raw(
    tag: str, tp: Any, fp: Any, tn: Any, fn: Any, precision: Any, recall: Any,
    num_thresholds: int = MOST_THRESHOLDS, weights: Any = None,
) -> Any:  # fmt: skip
    """Precision against recall, counted already, as a summary."""
    rows = np.stack([as_array(row) for row in (tp, fp, tn, fn, precision, recall)])
    facts = PrCurvePluginData(version=0, num_thresholds=min(num_thresholds, MOST_THRESHOLDS))
    metadata = _for_plugin("pr_curves", facts.SerializeToString())
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=_floats(rows))])


def _chart(title: str, kind: str, tags: Sequence[str]) -> Any:
    if kind != "Margin":
        lines = layout_pb2.MultilineChartContent(tag=list(tags))
        return layout_pb2.Chart(title=title, multiline=lines)
    if len(tags) != 3:
        raise AssertionError(
            f"len(tags) != 3\nA margin chart shows a value, its lower and its upper bound; "
            f"{title!r} has {len(tags)} tags."
        )
    value, lower, upper = tags
    series = layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
    return layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))


def custom_scalars(layout: Mapping[str, Mapping[str, Sequence[Any]]]) -> Any:
    """Which scalars share a chart, as a summary.

    Args:
        layout: ``{category: {chart: ["Multiline", tags]}}``, or ``["Margin", three tags]``.

    Raises:
        AssertionError: a margin chart has not three tags.
    """
    categories = [
        layout_pb2.Category(
            title=category, chart=[_chart(name, *properties) for name, properties in charts.items()]
        )
        for category, charts in layout.items()
    ]
    whole = layout_pb2.Layout(category=categories).SerializeToString()
    made = TensorProto(dtype="DT_STRING", string_val=[whole], tensor_shape=TensorShapeProto())
    metadata = _for_plugin("custom_scalars")
    tag = "custom_scalars__config__"
    return Summary(value=[Summary.Value(tag=tag, tensor=made, metadata=metadata)])


def mesh(
    tag: str, vertices: Any, colors: Any, faces: Any, config_dict: Mapping[str, Any] | None,
    display_name: str | None = None, description: str | None = None,
) -> Any:  # fmt: skip
    """Points in space, and the triangles between them, as a summary.

    Args:
        tag: its name.
        vertices: (B, N, 3).
        colors: (B, N, 3) or ``None``, from 0 to 255.
        faces: (B, M, 3) or ``None``: the numbers of three points.
        config_dict: settings for three.js.
        display_name, description: shown beside it.
    """
    parts = [
        (vertices, MeshPluginData.VERTEX),
        (faces, MeshPluginData.FACE),
        (colors, MeshPluginData.COLOR),
    ]
    parts = [(as_array(part), kind) for part, kind in parts if part is not None]
    components = mesh_metadata.get_components_bitmask([kind for _, kind in parts])
    settings = "{}" if config_dict is None else json.dumps(config_dict, sort_keys=True)
    values = []
    for array, kind in parts:
        metadata = mesh_metadata.create_summary_metadata(
            tag, display_name, kind, components, array.shape, description, json_config=settings
        )
        name = mesh_metadata.get_instance_name(tag, kind)
        values.append(Summary.Value(tag=name, tensor=_floats(array), metadata=metadata))
    return Summary(value=values)
