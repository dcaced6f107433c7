"""How exact matrix products of float32 numbers have to be: always as exact as the type is."""

from __future__ import annotations

import warnings


class _Setting:
    precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Say how exact products of float32 matrices have to be.

    Args:
        precision: ``"highest"``, ``"high"`` or ``"medium"``. It is remembered; products are
            computed in float32 whatever it is, which each of them allows.

    Raises:
        RuntimeError: ``precision`` is no string.

    See https://pytorch.org/docs/stable/generated/torch.set_float32_matmul_precision.html.

    >>> import rushlight as torch
    >>> torch.set_float32_matmul_precision("high")
    >>> torch.get_float32_matmul_precision()
    'high'
    >>> torch.set_float32_matmul_precision("highest")
    """
    if not isinstance(precision, str):
        raise RuntimeError(
            f"set_float32_matmul_precision expects a str, but got {type(precision).__name__}"
        )
    if precision not in ("highest", "high", "medium"):
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current"
            "setFloat32MatmulPrecision call has no effect.",
            stacklevel=2,
        )
        return
    _Setting.precision = precision


def get_float32_matmul_precision() -> str:
    """What ``set_float32_matmul_precision`` was last told.

    >>> import rushlight as torch
    >>> torch.get_float32_matmul_precision()
    'highest'
    """
    return _Setting.precision
