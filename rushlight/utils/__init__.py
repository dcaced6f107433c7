"""Utilities around training: data loading."""

from rushlight.utils import data as data
