"""A callback from functions."""

from __future__ import annotations

from typing import Any

from rushlight.lightning.callbacks.callback import Callback


class LambdaCallback(Callback):
    """A callback whose hooks are the functions given by name.

    >>> shout = LambdaCallback(on_train_start=lambda trainer, module: print("begin"))
    >>> shout.on_train_start(None, None)
    begin
    """

    def __init__(self, **hooks: Any) -> None:
        for name, function in hooks.items():
            if not hasattr(Callback, name):
                raise TypeError(
                    f"LambdaCallback.__init__() got an unexpected keyword argument '{name}'"
                )
            setattr(self, name, function)
