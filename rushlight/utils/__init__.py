"""Utilities around training: data loading, checkpoints of activations, weights."""

from rushlight.utils import checkpoint as checkpoint, data as data, model_zoo as model_zoo
