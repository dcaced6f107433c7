"""The transforms as objects, which a data set keeps and calls for every image."""

from __future__ import annotations

from rushlight.vision.transforms._classes.chance import (
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
    RandomVerticalFlip,
)
from rushlight.vision.transforms._classes.color import ColorJitter, Grayscale
from rushlight.vision.transforms._classes.compose import (
    Compose,
    Lambda,
    RandomApply,
    RandomChoice,
    RandomOrder,
    RandomTransforms,
)
from rushlight.vision.transforms._classes.conversion import (
    ConvertImageDtype,
    LinearTransformation,
    Normalize,
    PILToTensor,
    ToPILImage,
    ToTensor,
)
from rushlight.vision.transforms._classes.shape import (
    CenterCrop,
    FiveCrop,
    Pad,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    TenCrop,
)
from rushlight.vision.transforms._classes.warp import (
    ElasticTransform,
    GaussianBlur,
    RandomAffine,
    RandomPerspective,
    RandomRotation,
)
from rushlight.vision.transforms.functional import InterpolationMode

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "ElasticTransform",
    "FiveCrop",
    "GaussianBlur",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "LinearTransformation",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomOrder",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomTransforms",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToPILImage",
    "ToTensor",
]
