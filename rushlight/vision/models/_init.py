"""How the models' parameters begin, where it is not the layers' own way."""

from __future__ import annotations

from rushlight import nn

_NORMS = nn.BatchNorm2d | nn.GroupNorm


def kaiming_fan_out(model: nn.Module, linear: bool = False) -> None:
    """Normal weights of convolutions by their outputs, zero biases, norms that change nothing.

    Args:
        model: all of whose layers are set, in order.
        linear: linear layers, too: normal of deviation 0.01.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, _NORMS):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif linear and isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.01)
            nn.init.zeros_(layer.bias)
