"""Leaf facts every other part of the engine stands on."""
