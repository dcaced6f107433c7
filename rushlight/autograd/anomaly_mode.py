"""Finding the operation whose gradient went wrong."""

from __future__ import annotations

from rushlight.engine.trace.differentiate import anomaly


class set_detect_anomaly:
    """Switch the search for NaN gradients on or off, at once or for a ``with`` block.

    While it is on, every node's gradients are computed at once and looked at.

    >>> import rushlight as torch
    >>> with torch.autograd.set_detect_anomaly(True):
    ...     torch.is_anomaly_enabled()
    True
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = anomaly.enabled
        anomaly.enabled = bool(mode) and check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        anomaly.enabled = self._before


class detect_anomaly(set_detect_anomaly):
    """Search for NaN gradients inside a ``with`` block.

    >>> import rushlight as torch
    >>> x = torch.zeros(1, requires_grad=True)
    >>> with torch.autograd.detect_anomaly():
    ...     (x / x).sum().backward()  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    RuntimeError: Function 'DivBackward0' returned nan values in its 0th output.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check = check_nan
        super().__init__(anomaly.enabled)

    def __enter__(self) -> None:
        self._before = anomaly.enabled
        anomaly.enabled = self._check


def is_anomaly_enabled() -> bool:
    """Whether gradients are searched for NaN.

    >>> import rushlight as torch
    >>> torch.is_anomaly_enabled()
    False
    """
    return anomaly.enabled
