"""The half of ``SummaryWriter`` that logs numbers: curves, histograms, tensors, settings."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rushlight.utils.tensorboard import summary
from rushlight.utils.tensorboard._file_writer import FileWriter


class NumberWriting:
    """Adds numbers to the file of the subclass."""

    all_writers: dict[str, FileWriter] | None
    max_queue: int
    flush_secs: int
    filename_suffix: str

    @abstractmethod
    def _get_file_writer(self) -> FileWriter:
        """The open file."""

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: Any = None, walltime: float | None = None,
        new_style: bool = False, double_precision: bool = False,
    ) -> None:  # fmt: skip
        """Add a point to a curve. A number that is still pending is not computed for this.

        Args:
            tag: the curve's name; what stands before a ``/`` groups curves.
            scalar_value: a number, or a tensor or array of one element.
            global_step: the point's place on the axis.
            walltime: seconds since 1970, by default now.
            new_style: write it as a tensor, not as a simple value.
            double_precision: with ``new_style``, in 64 bits.

        Raises:
            AssertionError: it is more than one number.
        """
        make = partial(summary.scalar, tag, new_style=new_style, double_precision=double_precision)
        self._get_file_writer().add_number(make, scalar_value, global_step, walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Add a point to each of several curves in one chart.

        Every curve is a run of its own: a folder inside the writer's.

        Args:
            main_tag: the chart's name.
            tag_scalar_dict: the numbers by the names of their curves.
            global_step: their place on the axis.
            walltime: seconds since 1970, by default now.
        """
        walltime = time.time() if walltime is None else walltime
        folder = self._get_file_writer().get_logdir()
        assert self.all_writers is not None
        for tag, value in tag_scalar_dict.items():
            own = f"{folder}/{main_tag.replace('/', '_')}_{tag}"
            if own not in self.all_writers:
                self.all_writers[own] = FileWriter(
                    own, self.max_queue, self.flush_secs, self.filename_suffix
                )
            make = partial(summary.scalar, main_tag)
            self.all_writers[own].add_number(make, value, global_step, walltime)

    def add_tensor(
        self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Add a whole tensor, to be read back with TensorBoard's tools."""
        made = summary.tensor_proto(tag, tensor)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_histogram(
        self, tag: str, values: Any, global_step: Any = None, bins: Any = "tensorflow",
        walltime: float | None = None, max_bins: int | None = None,
    ) -> None:  # fmt: skip
        """Add how often which numbers occur.

        Args:
            tag: the histogram's name.
            values: numbers, of any shape.
            global_step: the step they belong to.
            bins: ``"tensorflow"`` (bins that grow by a tenth each), or what ``numpy.histogram``
                takes: a number of bins, their edges, ``"auto"``, ``"fd"``, ...
            walltime: seconds since 1970, by default now.
            max_bins: about how many bins are kept.
        """
        edges = summary.EDGES if isinstance(bins, str) and bins == "tensorflow" else bins
        made = summary.histogram(tag, values, edges, max_bins)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_histogram_raw(
        self, tag: str, min: Any, max: Any, num: Any, sum: Any, sum_squares: Any,
        bucket_limits: Any, bucket_counts: Any, global_step: Any = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Add numbers that have been counted already.

        Args:
            tag: the histogram's name.
            min, max, num, sum, sum_squares: of the numbers.
            bucket_limits: the right edge of every bin.
            bucket_counts: how many are in it.
            global_step: the step they belong to.
            walltime: seconds since 1970, by default now.

        Raises:
            ValueError: there are not as many edges as bins.
        """
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        made = summary.histogram_raw(
            tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts
        )
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_pr_curve(
        self, tag: str, labels: Any, predictions: Any, global_step: Any = None,
        num_thresholds: int = summary.MOST_THRESHOLDS, weights: Any = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Add precision against recall at every threshold.

        Args:
            tag: the curve's name.
            labels: 0 or 1 for each guess.
            predictions: its probability of being 1.
            global_step: the step it belongs to.
            num_thresholds: at so many thresholds, at most 127.
            weights: how much each guess counts.
            walltime: seconds since 1970, by default now.
        """
        made = summary.pr_curve(tag, labels, predictions, num_thresholds, weights)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_pr_curve_raw(
        self, tag: str, true_positive_counts: Any, false_positive_counts: Any,
        true_negative_counts: Any, false_negative_counts: Any, precision: Any, recall: Any,
        global_step: Any = None, num_thresholds: int = summary.MOST_THRESHOLDS,
        weights: Any = None, walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Add precision against recall, counted already: one number per threshold each."""
        made = summary.pr_curve_raw(
            tag, true_positive_counts, false_positive_counts, true_negative_counts,
            false_negative_counts, precision, recall, num_thresholds, weights,
        )  # fmt: skip
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_custom_scalars_multilinechart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Show several curves in one chart."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Show a curve between two others, its lower and its upper bound."""
        if len(tags) != 3:
            raise AssertionError(f"Expected 3 tags, got {len(tags)}.")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_custom_scalars(self, layout: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
        """Say which curves share a chart, once for a writer.

        Args:
            layout: ``{category: {chart: ["Multiline", tags]}}``, or ``["Margin", three tags]``.
        """
        self._get_file_writer().add_summary(summary.custom_scalars(layout))

    def add_hparams(
        self, hparam_dict: dict[str, Any], metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, list[Any]] | None = None, run_name: str | None = None,
        global_step: Any = None,
    ) -> None:  # fmt: skip
        """Add the settings of an experiment and what it came to: a run of its own.

        Args:
            hparam_dict: a number, text, truth value or ``None`` by name.
            metric_dict: numbers by tag; take other tags than those of ``add_scalar``.
            hparam_domain_discrete: all values that a setting may have, by name.
            run_name: the folder inside the writer's; by default the time.
            global_step: the step of the numbers.

        Raises:
            TypeError: they are no dictionaries.
            ValueError: a setting is of another type.
        """
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        made = summary.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self._get_file_writer().get_logdir(), run_name or str(time.time()))
        writer = FileWriter(folder)
        try:
            for part in made:
                writer.add_summary(part, global_step)
            for tag, value in metric_dict.items():
                writer.add_number(partial(summary.scalar, tag), value, global_step, None)
        finally:
            writer.close()
