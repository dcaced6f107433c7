"""Errors of the trainer."""

from __future__ import annotations


class MisconfigurationException(Exception):
    """The trainer was told something that does not fit together."""


class SIGTERMException(SystemExit):
    """The process was asked to end."""
