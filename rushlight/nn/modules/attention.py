"""Attention of several heads."""

from __future__ import annotations

from typing import Any

from rushlight._creation import empty
from rushlight._info import typename
from rushlight.nn import functional as F, init
from rushlight.nn.modules.linear import NonDynamicallyQuantizableLinear
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter


def float_mask(mask: Any, name: str, like: Any) -> Any:
    """A mask to add to scores: a boolean one becomes 0 and minus infinity."""
    if mask is None or mask.is_floating_point():
        return mask
    if str(mask.dtype) != "torch.bool":
        raise AssertionError(
            f"only bool and floating types of {name} are supported, got {typename(mask)}"
        )
    return like.new_zeros(mask.shape).masked_fill(mask, float("-inf"))


class MultiheadAttention(Module):
    """Attention of several heads, from Vaswani and others, Attention is all you need, 2017.

    Args:
        embed_dim: size of queries and results; each head gets ``embed_dim / num_heads`` of it.
        num_heads: how many heads.
        dropout: probability of zeroing an attention weight in training.
        bias: whether the projections have a bias.
        add_bias_kv: add a trained key and value to every sequence.
        add_zero_attn: add a key and value of zeros.
        kdim: size of the keys, ``embed_dim`` by default.
        vdim: size of the values, ``embed_dim`` by default.
        batch_first: (N, L, E) instead of (L, N, E).

    See https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html.

    >>> import rushlight as torch
    >>> x = torch.zeros(5, 2, 8)
    >>> result, weights = torch.nn.MultiheadAttention(8, 4)(x, x, x)
    >>> result.shape, weights.shape
    (torch.Size([5, 2, 8]), torch.Size([2, 5, 5]))
    """

    __constants__ = ["batch_first"]

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got embed_dim="
                f"{embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")
        options = {"device": device, "dtype": dtype}
        self._make_projections(bias, options)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, **options)
        if add_bias_kv:
            self.bias_k: Any = Parameter(empty(1, 1, embed_dim, **options))
            self.bias_v: Any = Parameter(empty(1, 1, embed_dim, **options))
        else:
            self.bias_k = self.bias_v = None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _make_projections(self, bias: bool, options: dict[str, Any]) -> None:
        """One weight for queries, keys and values together if their sizes allow it."""
        width = self.embed_dim
        shapes = {"q": (width, width), "k": (width, self.kdim), "v": (width, self.vdim)}
        if self._qkv_same_embed_dim:
            self.in_proj_weight = Parameter(empty(3 * width, width, **options))
            for name in shapes:
                self.register_parameter(f"{name}_proj_weight", None)
        else:
            for name, shape in shapes.items():
                setattr(self, f"{name}_proj_weight", Parameter(empty(shape, **options)))
            self.register_parameter("in_proj_weight", None)
        made = Parameter(empty(3 * width, **options)) if bias else None
        self.register_parameter("in_proj_bias", made)

    def _reset_parameters(self) -> None:
        if self._qkv_same_embed_dim:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            init.xavier_uniform_(self.q_proj_weight)
            init.xavier_uniform_(self.k_proj_weight)
            init.xavier_uniform_(self.v_proj_weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Let each query look at all keys and collect their values.

        Args:
            query: (L, N, E), (N, L, E) if ``batch_first``, or (L, E).
            key: (S, N, kdim).
            value: (S, N, vdim).
            key_padding_mask: (N, S), True for keys that do not count.
            need_weights: also give the attention weights.
            attn_mask: (L, S) or (N * heads, L, S), True for pairs that do not count, or added
                to the scores.
            average_attn_weights: the mean of the weights over the heads, or those of each.
            is_causal: a hint that ``attn_mask`` is the causal one.

        Returns:
            The results, and the weights (N, L, S) or ``None``.
        """
        mask = float_mask(attn_mask, "attn_mask", query)
        padding = float_mask(key_padding_mask, "key_padding_mask", query)
        if is_causal and mask is None:
            raise RuntimeError(
                "Need attn_mask if specifying the is_causal hint. You may use the Transformer "
                "module method `generate_square_subsequent_mask` to create this mask."
            )
        turn = self.batch_first and query.dim() == 3
        if turn:
            query, key, value = _turned(query, key, value)
        result, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight,
            self.in_proj_bias, self.bias_k, self.bias_v, self.add_zero_attn, self.dropout,
            self.out_proj.weight, self.out_proj.bias, self.training, padding, need_weights, mask,
            not self._qkv_same_embed_dim, self.q_proj_weight, self.k_proj_weight,
            self.v_proj_weight, average_attn_weights=average_attn_weights, is_causal=is_causal,
        )  # fmt: skip
        return result.transpose(0, 1) if turn else result, weights


def _turned(query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """Batch and sequence exchanged; what was one tensor stays one."""
    turned_key = key.transpose(0, 1)
    turned_value = turned_key if value is key else value.transpose(0, 1)
    return turned_key if query is key else query.transpose(0, 1), turned_key, turned_value
