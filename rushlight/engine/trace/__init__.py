"""Recording: the trace, views and in-place writes, gradients, and when to run."""
