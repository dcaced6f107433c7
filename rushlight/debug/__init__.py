"""Looking into what rushlight does: which programs there are, why a new one, what they compute."""

from rushlight.debug.explain import Report as Report, explain as explain
from rushlight.debug.graph import graph as graph
from rushlight.debug.stats import Stats as Stats, stats as stats
