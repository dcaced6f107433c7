"""Data sets that are folders, one for each class."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.vision.datasets.vision import VisionDataset

IMG_EXTENSIONS = (
    ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp",
)  # fmt: skip

_Path = str | os.PathLike[str]


def has_file_allowed_extension(filename: str, extensions: str | Sequence[str]) -> bool:
    """Whether a name ends in one of these ways, in small or capital letters.

    >>> from rushlight.vision.datasets.folder import has_file_allowed_extension
    >>> has_file_allowed_extension("cat.JPG", (".jpg", ".png"))
    True
    """
    ends = extensions if isinstance(extensions, str) else tuple(extensions)
    return filename.lower().endswith(ends)


def is_image_file(filename: str) -> bool:
    """Whether a name is that of an image."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: _Path) -> tuple[list[str], dict[str, int]]:
    """The names of the folders in a folder, sorted, and the number of each.

    Raises:
        FileNotFoundError: there is none.
    """
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(
            f"Couldn't find any class folder in {directory}.\n"
            "Each class has a folder of its own there, with its images."
        )
    return classes, {name: index for index, name in enumerate(classes)}


def _check_choice(extensions: Any, is_valid_file: Any) -> None:
    if (extensions is None) == (is_valid_file is None):
        raise ValueError(
            "Both extensions and is_valid_file cannot be None or not None at the same time"
        )


def make_dataset(
    directory: _Path,
    class_to_idx: dict[str, int] | None = None,
    extensions: str | Sequence[str] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """The files below the classes' folders, sorted, each with the number of its class.

    Args:
        directory: the folder of the classes' folders.
        class_to_idx: the number of each class; from the folders if absent.
        extensions: how the names of samples end. Either this or
        is_valid_file: whether a file is a sample.
        allow_empty: whether a class may have no samples.

    Raises:
        FileNotFoundError: a class has no samples.
        ValueError: no class, or not one of the two ways to tell samples.
    """
    folder = os.path.expanduser(directory)
    if class_to_idx is None:
        _, class_to_idx = find_classes(folder)
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    _check_choice(extensions, is_valid_file)
    samples: list[tuple[str, int]] = []
    empty = []
    for name in sorted(class_to_idx):
        before = len(samples)
        for root, _, files in sorted(os.walk(os.path.join(folder, name), followlinks=True)):
            paths = (os.path.join(root, file) for file in sorted(files))
            samples += [
                (path, class_to_idx[name])
                for path in paths
                if (
                    has_file_allowed_extension(path, extensions)
                    if extensions is not None
                    else is_valid_file is not None and is_valid_file(path)
                )
            ]
        if len(samples) == before:
            empty.append(name)
    if empty and not allow_empty:
        message = f"Found no valid file for the classes {', '.join(empty)}. "
        if extensions is not None:
            shown = extensions if isinstance(extensions, str) else ", ".join(extensions)
            message += f"Supported extensions are: {shown}"
        raise FileNotFoundError(message)
    return samples


class DatasetFolder(VisionDataset):
    """Samples in folders, one for each class: ``root/cat/1.xyz``, ``root/dog/any/2.xyz``.

    Args:
        root: the folder of the classes' folders.
        loader: reads a sample from its path.
        extensions: how the names of samples end. Either this or
        transform: called with the sample.
        target_transform: called with the class.
        is_valid_file: whether a file is a sample.
        allow_empty: whether a class may have no samples.

    Attributes:
        classes: the names of the folders, sorted.
        class_to_idx: the number of each class by its name.
        samples: path and class of each sample.
        targets: the class of each sample.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.DatasetFolder.html
    """

    def __init__(
        self,
        root: _Path,
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        assert self.root is not None
        classes, class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(
            self.root,
            class_to_idx=class_to_idx,
            extensions=extensions,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.loader = loader
        self.extensions = extensions
        self.classes: list[Any] = classes
        self.class_to_idx = class_to_idx
        self.targets = [target for _, target in self.samples]

    @staticmethod
    def make_dataset(
        directory: _Path,
        class_to_idx: dict[str, int] | None,
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """The samples, as the function of this name finds them; a subclass may look elsewhere."""
        if class_to_idx is None:
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: _Path) -> tuple[list[str], dict[str, int]]:
        """The classes, as the function of this name finds them; a subclass may know others."""
        return find_classes(directory)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._transformed(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


def pil_loader(path: _Path) -> Any:
    """The image in a file, as one of Pillow's in mode ``RGB``."""
    from PIL import Image

    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


def default_loader(path: _Path) -> Any:
    """How ``ImageFolder`` reads an image: by Pillow."""
    return pil_loader(path)


class ImageFolder(DatasetFolder):
    """Images in folders, one for each class: ``root/cat/1.png``, ``root/dog/any/2.jpg``.

    An item is a pair: a Pillow image of mode ``RGB`` and the class as an ``int``.

    Args:
        root: the folder of the classes' folders.
        transform: called with the image.
        target_transform: called with the class.
        loader: reads an image from its path.
        is_valid_file: whether a file is an image; else its name tells.
        allow_empty: whether a class may have no images.

    Attributes:
        classes: the names of the folders, sorted.
        class_to_idx: the number of each class by its name.
        imgs: path and class of each image; ``samples`` is the same list.
        targets: the class of each image.

    Raises:
        FileNotFoundError: there is no class, or one without images.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html
    """

    def __init__(
        self,
        root: _Path,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(
            root,
            loader,
            IMG_EXTENSIONS if is_valid_file is None else None,
            transform=transform,
            target_transform=target_transform,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.imgs = self.samples
