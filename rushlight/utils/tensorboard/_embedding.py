"""Files for TensorBoard's projector: vectors, what they are, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.utils.tensorboard._arrays import as_array, as_pixels, grid
from rushlight.utils.tensorboard._pictures import png
from rushlight.utils.tensorboard._protos import EmbeddingInfo, ProjectorConfig, text_format

CONFIG = "projector_config.pbtxt"


def folder_of(tag: str, step: int | None) -> str:
    """The folder of an embedding inside the writer's.

    >>> from rushlight.utils.tensorboard._embedding import folder_of
    >>> folder_of("words/en", 7)
    '00007/words%2fen'
    """
    for character in "%/\\":
        tag = tag.replace(character, f"%{ord(character):02x}")
    return f"{str(step or 0).zfill(5)}/{tag}"


def _table(metadata: Sequence[Any], header: Sequence[str] | None) -> str:
    if header and any(len(row) != len(header) for row in metadata):
        raise AssertionError(
            "len of header must be equal to the number of columns in metadata\n"
            "Give one label per column of metadata_header to every vector."
        )
    rows = [header, *metadata] if header else [[label] for label in metadata]
    return "".join("\t".join(map(_cell, row)) + "\n" for row in rows)


def _cell(label: Any) -> str:
    """A label in one line: the table cannot hold a tab or a line's end inside a cell."""
    return " ".join(str(label).replace("\t", " ").splitlines())


def _sprite(images: Any) -> bytes:
    """One square picture of all pictures (N, C, H, W)."""
    array = as_array(images)
    side = ceil(len(array) ** 0.5)
    blank = np.zeros((side * side - len(array), *array.shape[1:]), array.dtype)
    sheet = grid(np.concatenate([array, blank]), side)
    return png(as_pixels(sheet.transpose(1, 2, 0)))


def _check(vectors: Any, metadata: Any, pictures: Any) -> None:
    if vectors.ndim != 2:
        raise AssertionError(
            "mat should be 2D, where mat.size(0) is the number of data points\n"
            f"Its shape is {tuple(vectors.shape)}; flatten what belongs to one data point."
        )
    for given, name in ((metadata, "#labels"), (pictures, "#images")):
        if given is not None and len(given) != len(vectors):
            raise AssertionError(
                f"{name} should equal with #data points\n"
                f"There are {len(given)} for {len(vectors)} rows of mat."
            )


def write(
    folder: str, tag: str, step: int | None, vectors: Any, metadata: Sequence[Any] | None,
    pictures: Any, header: Sequence[str] | None,
) -> None:  # fmt: skip
    """Write the files of one embedding, and name them in the projector's list.

    Args:
        folder: the writer's folder.
        tag: the embedding's name.
        step: the step it belongs to.
        vectors: (N, D).
        metadata: a label, or with ``header`` a row of them, for each vector.
        pictures: (N, C, H, W), one for each vector.
        header: the columns' names.

    Raises:
        AssertionError: the numbers of vectors, labels and pictures differ.
    """
    array, place = as_array(vectors), folder_of(tag, step)
    _check(array, metadata, pictures)
    info = EmbeddingInfo(
        tensor_name=f"{tag}:{str(step or 0).zfill(5)}", tensor_path=f"{place}/tensors.tsv"
    )
    target = Path(folder, place)
    target.mkdir(parents=True, exist_ok=True)
    rows = ["\t".join(map(str, row)) + "\n" for row in array.tolist()]
    (target / "tensors.tsv").write_text("".join(rows), encoding="utf-8")
    if metadata is not None:
        (target / "metadata.tsv").write_text(_table(metadata, header), encoding="utf-8")
        info.metadata_path = f"{place}/metadata.tsv"
    if pictures is not None:
        (target / "sprite.png").write_bytes(_sprite(pictures))
        info.sprite.image_path = f"{place}/sprite.png"
        height, width = pictures.shape[2:]
        info.sprite.single_image_dim.extend([width, height])
    _list(Path(folder, CONFIG), info)


def _list(path: Path, info: Any) -> None:
    """Name an embedding in the projector's list, in the place of an older one of the same files."""
    config = ProjectorConfig()
    if path.exists():
        text_format.Parse(path.read_text(encoding="utf-8"), config)
    others = [known for known in config.embeddings if known.tensor_path != info.tensor_path]
    del config.embeddings[:]
    config.embeddings.extend([*others, info])
    path.write_text(text_format.MessageToString(config), encoding="utf-8")
