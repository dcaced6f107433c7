"""Helpers of tests: ``torch.testing``."""

from rushlight.testing.comparison import assert_close as assert_close
