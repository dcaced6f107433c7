"""Kernels for the places where tensors live."""
