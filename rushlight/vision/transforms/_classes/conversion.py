"""Pictures to tensors and back, and the scale of their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight._tensor import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F


class ToTensor:
    """A Pillow image or an array as a ``(C, H, W)`` tensor; bytes become fractions from 0 to 1.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ToTensor.html

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.ToTensor()(Image.new("RGB", (4, 3), "white")).shape
    torch.Size([3, 3, 4])
    """

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PILToTensor:
    """A Pillow image as a ``(C, H, W)`` tensor, its values as they are.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.PILToTensor.html

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.PILToTensor()(Image.new("L", (2, 1), 7))
    tensor([[[7, 7]]], dtype=torch.uint8)
    """

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ToPILImage:
    """A tensor or an array as a Pillow image; fractions from 0 to 1 become bytes.

    Args:
        mode: Pillow's name for the meaning of the channels; found from the image if absent.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ToPILImage.html

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> transforms.ToPILImage()(torch.ones(3, 2, 4)).size
    (4, 2)
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        mode = "" if self.mode is None else f"mode={self.mode}"
        return f"{type(self).__name__}({mode})"


class ConvertImageDtype(Module):
    """Tensors in another type, their values scaled to the range of that type.

    Args:
        dtype: the type wanted.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ConvertImageDtype.html

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> transforms.ConvertImageDtype(torch.uint8)(torch.tensor([0.0, 0.5, 1.0]))
    tensor([  0, 127, 255], dtype=torch.uint8)
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        """``image`` in the other type."""
        return F.convert_image_dtype(image, self.dtype)


class Normalize(Module):
    """``(image - mean) / std``, channel by channel.

    Args:
        mean: one number for each channel.
        std: one number for each channel.
        inplace: whether the image itself is overwritten.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Normalize.html

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> transforms.Normalize((0.5,), (0.5,))(torch.ones(1, 1, 2))
    tensor([[[1., 1.]]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: Tensor) -> Tensor:
        """``tensor``, normalized."""
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class LinearTransformation(Module):
    """Images, flattened and less a mean, times a matrix: whitening, for one.

    Args:
        transformation_matrix: ``(D, D)``, where D is the number of values of an image.
        mean_vector: ``(D,)``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.LinearTransformation.html

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> transforms.LinearTransformation(2 * torch.eye(2), torch.ones(2))(torch.ones(1, 1, 2))
    tensor([[[0., 0.]]])
    """

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        rows, columns = transformation_matrix.shape
        if rows != columns:
            raise ValueError(
                f"transformation_matrix should be square. Got {(rows, columns)} rectangular matrix."
            )
        if mean_vector.size(0) != rows:
            raise ValueError(
                f"mean_vector should have the same length {mean_vector.size(0)}"
                f" as any one of the dimensions of the transformation_matrix [{(rows, columns)}]"
            )
        if transformation_matrix.dtype != mean_vector.dtype:
            raise ValueError(
                "Input tensors should have the same dtype. Got "
                f"{transformation_matrix.dtype} and {mean_vector.dtype}"
            )
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        """``tensor`` of shape ``(..., C, H, W)``, transformed."""
        channels, height, width = tensor.shape[-3:]
        length = channels * height * width
        if length != self.transformation_matrix.shape[0]:
            raise ValueError(
                "Input tensor and transformation matrix have incompatible shape."
                f"[{channels} x {height} x {width}] != {self.transformation_matrix.shape[0]}"
            )
        flat = tensor.view(-1, length) - self.mean_vector
        return flat.mm(self.transformation_matrix.to(flat.dtype)).view(tensor.shape)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(transformation_matrix={self.transformation_matrix.tolist()}, "
            f"mean_vector={self.mean_vector.tolist()})"
        )
