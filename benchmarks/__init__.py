"""Benchmarks: ratios to PyTorch, both run in turn in one process."""
