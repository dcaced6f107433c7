"""Models for pictures, under torchvision's names."""

from __future__ import annotations

from rushlight.vision.models._builders import (
    get_model as get_model,
    get_model_builder as get_model_builder,
    get_model_weights as get_model_weights,
    get_weight as get_weight,
    list_models as list_models,
)
from rushlight.vision.models._weights import Weights as Weights, WeightsEnum as WeightsEnum
from rushlight.vision.models.alexnet import *
from rushlight.vision.models.convnext import *
from rushlight.vision.models.densenet import *
from rushlight.vision.models.efficientnet import *
from rushlight.vision.models.googlenet import *
from rushlight.vision.models.inception import *
from rushlight.vision.models.mobilenet import *
from rushlight.vision.models.resnet import *
from rushlight.vision.models.shufflenetv2 import *
from rushlight.vision.models.squeezenet import *
from rushlight.vision.models.vgg import *
from rushlight.vision.models.vision_transformer import *
