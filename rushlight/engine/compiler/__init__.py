"""Tier 1: from a recorded program to a plan of native calls."""
