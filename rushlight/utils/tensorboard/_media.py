"""The half of ``SummaryWriter`` that logs what is looked at, read or listened to."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from rushlight.utils.tensorboard import _embedding, summary
from rushlight.utils.tensorboard._arrays import as_array, figure_picture
from rushlight.utils.tensorboard._file_writer import FileWriter


class MediaWriting:
    """Adds pictures, films, sounds, words and points in space to the file of the subclass."""

    @abstractmethod
    def _get_file_writer(self) -> FileWriter:
        """The open file."""

    def add_image(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:  # fmt: skip
        """Add a picture.

        Args:
            tag: its name.
            img_tensor: (3, H, W) or as ``dataformats`` says; numbers from 0 to 1, or uint8.
            global_step: the step it belongs to.
            walltime: seconds since 1970, by default now.
            dataformats: what the axes are: ``"CHW"``, ``"HWC"``, ``"HW"``, ...

        Raises:
            AssertionError: the shape does not fit ``dataformats``.
        """
        made = summary.image(tag, img_tensor, dataformats=dataformats)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:  # fmt: skip
        """Add several pictures as one, eight in a row; see ``add_image``."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_image_with_boxes(
        self, tag: str, img_tensor: Any, box_tensor: Any, global_step: Any = None,
        walltime: float | None = None, rescale: float = 1, dataformats: str = "CHW",
        labels: str | Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """Add a picture with rectangles on it.

        Args:
            tag: its name.
            img_tensor: the picture.
            box_tensor: (N, 4): left, top, right and bottom of every rectangle.
            global_step: the step it belongs to.
            walltime: seconds since 1970, by default now.
            rescale: how many times as large it becomes.
            dataformats: what the axes of the picture are.
            labels: a text for each rectangle; left out where their numbers differ.
        """
        boxes = as_array(box_tensor)
        listed = [labels] if isinstance(labels, str) else labels
        if listed is not None and len(listed) != boxes.shape[0]:
            listed = None
        made = summary.image_boxes(tag, img_tensor, boxes, rescale, dataformats, listed)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_figure(
        self, tag: str, figure: Any, global_step: Any = None, close: bool = True,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Add a figure of Matplotlib, or a list of them, as a picture.

        Args:
            tag: its name.
            figure: the figure, or figures of one size.
            global_step: the step it belongs to.
            close: whether the figure is no longer needed.
            walltime: seconds since 1970, by default now.
        """
        drawn = figure_picture(figure, close)
        self.add_image(tag, drawn, global_step, walltime, "NCHW" if drawn.ndim == 4 else "CHW")

    def add_video(
        self, tag: str, vid_tensor: Any, global_step: Any = None, fps: float = 4,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Add films side by side, as an animated GIF.

        Args:
            tag: its name.
            vid_tensor: (N, T, C, H, W), numbers from 0 to 1 or uint8.
            global_step: the step it belongs to.
            fps: how many pictures are shown in a second.
            walltime: seconds since 1970, by default now.
        """
        made = summary.video(tag, vid_tensor, fps)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_audio(
        self, tag: str, snd_tensor: Any, global_step: Any = None, sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Add a sound.

        Args:
            tag: its name.
            snd_tensor: (L) or (1, L), from -1 to 1.
            global_step: the step it belongs to.
            sample_rate: how many of its numbers make a second.
            walltime: seconds since 1970, by default now.
        """
        made = summary.audio(tag, snd_tensor, sample_rate)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Add words; they are shown as Markdown."""
        made = summary.text(tag, text_string)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_embedding(
        self, mat: Any, metadata: Sequence[Any] | None = None, label_img: Any = None,
        global_step: Any = None, tag: str = "default",
        metadata_header: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """Add points of many dimensions for the projector.

        Args:
            mat: (N, D).
            metadata: a label for each point, or with ``metadata_header`` a row of them.
            label_img: (N, C, H, W): a picture for each point.
            global_step: the step they belong to.
            tag: their name.
            metadata_header: the names of the labels' columns.

        Raises:
            AssertionError: there is not one label, or picture, per point.
        """
        folder = self._get_file_writer().get_logdir()
        _embedding.write(folder, tag, global_step, mat, metadata, label_img, metadata_header)

    def add_mesh(
        self, tag: str, vertices: Any, colors: Any = None, faces: Any = None,
        config_dict: Mapping[str, Any] | None = None, global_step: Any = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Add points in space, and the triangles between them.

        Args:
            tag: their name.
            vertices: (B, N, 3).
            colors: (B, N, 3), from 0 to 255.
            faces: (B, M, 3): the numbers of the points of each triangle.
            config_dict: settings for three.js: ``{"camera": {...}, "material": {...}}``.
            global_step: the step they belong to.
            walltime: seconds since 1970, by default now.
        """
        made = summary.mesh(tag, vertices, colors, faces, config_dict)
        self._get_file_writer().add_summary(made, global_step, walltime)
