"""Attention, written with other operators."""

from __future__ import annotations

import math
from typing import Any

from rushlight.engine.core.dtype import bool_
from rushlight.engine.ir.op import Composite, composite
from rushlight.engine.ir.samples import S, t



def _function(name: str) -> Any:
    return Composite.registry[name].function


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(t(2, 3, 4, 5), t(2, 3, 6, 5), t(2, 3, 6, 7)),
        S(t(2, 4, 5), t(2, 4, 5), t(2, 4, 5), is_causal=True),
        S(t(2, 3, 5), t(2, 4, 5), t(2, 4, 5), t(3, 4)),
    ),
)
def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """softmax(query key^T scale + mask) value; see https://arxiv.org/abs/1706.03762.

    Args:
        query: (..., L, E).
        key: (..., S, E).
        value: (..., S, Ev).
        attn_mask: boolean (True takes part) or added to the scores, broadcasting to (..., L, S).
        dropout_p: probability of zeroing a weight.
        is_causal: position i attends to positions up to i only.
        scale: 1 / sqrt(E) if absent.
        enable_gqa: repeat key and value heads to the number of query heads.

    >>> import rushlight as torch
    >>> one = torch.ones(1, 1, 2)
    >>> torch.nn.functional.scaled_dot_product_attention(one, one, one)
    tensor([[[1., 1.]]])
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError("Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * factor) @ key.transpose(-2, -1)
    if is_causal:
        rows, columns = query.shape[-2], key.shape[-2]
        mask = _function("torch.tril")(scores.new_ones((rows, columns), dtype=bool_))
        scores = scores.masked_fill(~mask, -math.inf)
    elif attn_mask is not None:
        if attn_mask.dtype is bool_:
            scores = scores.masked_fill(~attn_mask, -math.inf)
        else:
            scores = scores + attn_mask
    weights = scores.softmax(-1)
    if dropout_p > 0.0:
        weights = _function("nn.functional.dropout")(weights, dropout_p, True)
    return weights @ value


def _project(
    query: Any, key: Any, value: Any, weight: Any, bias: Any, separate: Any
) -> tuple[Any, Any, Any]:
    """Query, key and value through their input projections."""
    linear = _function("nn.functional.linear")
    if separate is not None:
        parts = (None,) * 3 if bias is None else bias.chunk(3)
        return tuple(  # type: ignore[return-value]
            linear(x, w, b) for x, w, b in zip((query, key, value), separate, parts, strict=True)
        )
    if query is key and key is value:
        return tuple(linear(query, weight, bias).chunk(3, -1))  # type: ignore[return-value]
    weights = weight.chunk(3)
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return tuple(  # type: ignore[return-value]
        linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )


def _float_mask(mask: Any, like: Any) -> Any:
    if mask is None or mask.dtype is not bool_:
        return mask
    return like.new_zeros(mask.shape).masked_fill(mask, -math.inf)


@composite(namespaces=("nn.functional",))
def multi_head_attention_forward(
    query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int,
    in_proj_weight: Any, in_proj_bias: Any, bias_k: Any, bias_v: Any, add_zero_attn: bool,
    dropout_p: float, out_proj_weight: Any, out_proj_bias: Any, training: bool = True,
    key_padding_mask: Any = None, need_weights: bool = True, attn_mask: Any = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Any = None, k_proj_weight: Any = None,
    v_proj_weight: Any = None, static_k: Any = None, static_v: Any = None,
    average_attn_weights: bool = True, is_causal: bool = False,
) -> Any:  # fmt: skip
    """Attention of several heads over (L, N, E), with the weights of ``nn.MultiheadAttention``.

    Masks: boolean ones are True where a position is left out, others are added to the scores.

    Returns:
        The result (L, N, E), and the attention weights (N, L, S) if wanted.
    """
    single = query.dim() == 2
    if single:
        same = query is key and key is value
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if same:
            key = value = query
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    if width != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}"
        )
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _project(query, key, value, in_proj_weight, in_proj_bias, separate)
    if bias_k is not None:
        cat = _function("torch.cat")
        k = cat([k, bias_k.expand(1, batch, -1)])
        v = cat([v, bias_v.expand(1, batch, -1)])
    head = width // num_heads

    def split(x: Any) -> Any:
        return x.reshape(x.shape[0], batch * num_heads, head).transpose(0, 1)

    q, k, v = split(q), split(k), split(v)
    if add_zero_attn:
        zero = k.new_zeros((batch * num_heads, 1, head))
        k, v = (_function("torch.cat")([x, zero], 1) for x in (k, v))
    extra = k.shape[1] - key.shape[0]
    mask = _merge_masks(attn_mask, key_padding_mask, q, batch, num_heads, extra)
    scores = (q / math.sqrt(head)) @ k.transpose(1, 2)
    weights = (scores if mask is None else scores + mask).softmax(-1)
    if dropout_p > 0.0 and training:
        weights = _function("nn.functional.dropout")(weights, dropout_p, True)
    y = (weights @ v).transpose(0, 1).reshape(length, batch, width)
    y = _function("nn.functional.linear")(y, out_proj_weight, out_proj_bias)
    shown = None
    if need_weights:
        shown = weights.reshape(batch, num_heads, length, -1)
        shown = shown.mean(1) if average_attn_weights else shown
    if single:
        y = y.squeeze(1)
        shown = None if shown is None else shown.squeeze(0)
    return y, shown


def _merge_masks(
    attn_mask: Any, padding: Any, q: Any, batch: int, heads: int, extra: int
) -> Any:
    """One mask to add to the scores (N * heads, L, S)."""
    attn_mask, padding = _float_mask(attn_mask, q), _float_mask(padding, q)
    if attn_mask is not None and attn_mask.dim() == 2:
        attn_mask = attn_mask.unsqueeze(0)
    if padding is not None:
        padding = padding.reshape(batch, 1, 1, -1).expand(-1, heads, -1, -1)
        padding = padding.reshape(batch * heads, 1, -1)
        attn_mask = padding if attn_mask is None else attn_mask + padding
    if attn_mask is not None and extra:
        attn_mask = _function("nn.functional.pad")(attn_mask, (0, extra))
    return attn_mask
