"""Attention, written with other operators."""

from __future__ import annotations

import math
from typing import Any

from rushlight.engine.core.dtype import C_NAMES, bool_, float32, float64
from rushlight.engine.ir.op import composite, function_of
from rushlight.engine.ir.samples import ErrorSample, S, t, tb
from rushlight.engine.ops.attention_fused import attention_op

# one attention ---------------------------------------------------------------------------------


def _check_attention(query: Any, key: Any, value: Any, mask: Any) -> None:
    """PyTorch's errors for parts that do not go together."""
    if min(query.dim(), key.dim(), value.dim()) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.dim()} key.dim: {key.dim()} and value.dim: {value.dim()} instead."
        )
    if not query.dtype is key.dtype is value.dtype:
        names = [C_NAMES.get(x.dtype, x.dtype.name) for x in (query, key, value)]
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{names[0]} key.dtype: {names[1]} and value.dtype: {names[2]} instead."
        )
    if mask is None or mask.dtype is bool_ or mask.dtype.is_floating_point:
        return
    raise RuntimeError(
        "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
        f"attn_mask.dtype: {_C_LONG.get(mask.dtype.name, mask.dtype.name)} and  query.dtype: "
        f"{C_NAMES.get(query.dtype, query.dtype.name)} instead."
    )


_C_LONG = {"int64": "long int", "int32": "int", "uint8": "unsigned char"}


def _safe_softmax(scores: Any) -> Any:
    """A softmax that gives zeros to a row that is masked altogether."""
    weights = scores.softmax(-1)
    return weights.masked_fill((scores == -math.inf).all(-1, keepdim=True), 0.0)


_Q = t(2, 3, 4, 5)


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(_Q, t(2, 3, 6, 5), t(2, 3, 6, 7)),
        S(t(2, 4, 5), t(2, 4, 5), t(2, 4, 5), is_causal=True),
        S(t(2, 3, 5), t(2, 4, 5), t(2, 4, 5), t(3, 4)),
        S(t(2, 3, 5), t(2, 4, 5), t(2, 4, 5), tb(3, 4), scale=0.3),
        S(t(2, 4, 3, 5), t(2, 2, 3, 5), t(2, 2, 3, 5), enable_gqa=True),
        S(t(3, 5), t(4, 5), t(4, 2)),
        S(_Q, t(2, 3, 6, 5), t(2, 3, 6, 5)),
        S(_Q, t(2, 3, 6, 5), t(2, 3, 6, 5), is_causal=True),
        S(t(2, 3, 6, 5), _Q, _Q, is_causal=True, scale=0.4),
        S(_Q, _Q, _Q, t(4, 4, grad=False)),
        S(_Q, _Q, _Q, t(2, 1, 4, 4)),
        S(_Q, _Q, _Q, tb(2, 1, 1, 4)),
    ),
    errors=(
        ErrorSample(S(t(5), t(5), t(5)), RuntimeError, "to all be  at least 2 dimensional"),
        ErrorSample(
            S(_Q, t(2, 3, 4, 5, dtype="float64"), _Q), RuntimeError, "to have the same dtype"
        ),
        ErrorSample(
            S(_Q, _Q, _Q, t(4, 4, dtype="int64", grad=False)),
            RuntimeError,
            "Expected attn_mask dtype to be bool or float",
        ),
        ErrorSample(
            S(t(2, 5, 4, 5), _Q, _Q, enable_gqa=True),
            RuntimeError,
            "Number of heads in key and value must divide the number of heads in",
        ),
        ErrorSample(S(_Q, _Q, _Q, dropout_p=1.5), RuntimeError, "dropout probability has to be"),
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
    _check_attention(query, key, value, attn_mask)
    if not 0.0 <= dropout_p <= 1.0:
        raise RuntimeError(
            f"dropout probability has to be between 0 and 1, but got {dropout_p:g}"
        )
    if enable_gqa:
        key, value = _repeat_heads(query, key), _repeat_heads(query, value)
    factor = 1.0 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    if not dropout_p and _plain(query, key, value, attn_mask):
        made: Any = attention_op(
            query, key, value, attn_mask, scale=float(factor), causal=bool(is_causal)
        )
        return made[0]
    # half of the factor on each side, as PyTorch does it, keeps half types from overflowing
    root = math.sqrt(abs(factor))
    scores = (query * math.copysign(root, factor)) @ (key.transpose(-2, -1) * root)
    if is_causal:
        rows, columns = query.shape[-2], key.shape[-2]
        allowed = function_of("torch.tril")(query.new_ones((rows, columns)).to(bool_))
        attn_mask = allowed if attn_mask is None else _both(allowed, attn_mask)
    if attn_mask is not None:
        if attn_mask.dtype is bool_:
            scores = scores.masked_fill(~attn_mask, -math.inf)
        else:
            scores = scores + attn_mask
        weights = _safe_softmax(scores)
    else:
        weights = scores.softmax(-1)
    if dropout_p > 0.0:
        weights = function_of("nn.functional.dropout")(weights, dropout_p, True)
    return weights @ value


def _plain(query: Any, key: Any, value: Any, mask: Any) -> bool:
    """Whether one operator does it, where PyTorch's does: batches of heads of one width."""
    q, k, v = query._value.meta, key._value.meta, value._value.meta
    if q.ndim != 4 or q.dtype not in (float32, float64) or k.shape != v.shape:
        return False
    if q.shape[:2] != k.shape[:2] or q.shape[3] != k.shape[3] or not q.numel or not k.numel:
        return False
    if mask is None:
        return True
    shape = tuple(mask.shape)
    wanted = (*q.shape[:3], k.shape[2])[-len(shape) :] if shape else ()
    fits = len(shape) <= 4 and all(n in (1, m) for n, m in zip(shape, wanted, strict=True))
    return fits and not mask.requires_grad and mask.dtype in (bool_, q.dtype)


def _both(allowed: Any, mask: Any) -> Any:
    """A mask that holds back what either of two masks holds back."""
    if mask.dtype is bool_:
        return allowed & mask
    return mask.masked_fill(~allowed, -math.inf)


def _repeat_heads(query: Any, x: Any) -> Any:
    heads, own = query.shape[-3], x.shape[-3]
    if own == 0 and not query.numel():
        return x.new_zeros((*x.shape[:-3], heads, *x.shape[-2:]))
    if own == 0 or heads % own:
        raise RuntimeError(
            "Number of heads in key and value must divide the number of heads in "
            f"\nThe query has {heads} heads, key or value {own}."
        )
    return x.repeat_interleave(heads // own, -3)


# several heads ---------------------------------------------------------------------------------


def _project(
    query: Any, key: Any, value: Any, weight: Any, bias: Any, separate: Any
) -> tuple[Any, Any, Any]:
    """Query, key and value through their input projections."""
    linear = function_of("nn.functional.linear")
    parts = (None,) * 3 if bias is None else bias.chunk(3)
    if separate is None and query is key and key is value:
        return tuple(linear(query, weight, bias).chunk(3, -1))
    weights = weight.chunk(3) if separate is None else separate
    return tuple(
        linear(x, w, b) for x, w, b in zip((query, key, value), weights, parts, strict=True)
    )


def _float_mask(mask: Any, like: Any, name: str) -> Any:
    if mask is None:
        return None
    if mask.dtype is bool_:
        return like.new_zeros(mask.shape).masked_fill(mask, -math.inf)
    if not mask.dtype.is_floating_point:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    return mask


def _check_heads(query: Any, embed_dim: int, num_heads: int, is_causal: bool, mask: Any) -> None:
    if query.dim() not in (2, 3):
        raise AssertionError(
            "query should be unbatched 2D or batched 3D tensor but received "
            f"{query.dim()}-D query tensor"
        )
    if is_causal and mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask."
        )
    width = query.shape[-1]
    if width != embed_dim:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim}, but got {width}")
    if width % num_heads:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")


def _merge_masks(
    attn_mask: Any, padding: Any, batch: int, heads: int, length: int, source: int, extra: int
) -> Any:
    """One mask to add to the scores (N * heads, L, S)."""
    pad = function_of("nn.functional.pad")
    if attn_mask is not None:
        rank = attn_mask.dim()
        wanted = (length, source) if rank == 2 else (batch * heads, length, source)
        if rank not in (2, 3):
            raise RuntimeError(f"attn_mask's dimension {rank} is not supported")
        if tuple(attn_mask.shape) != wanted:
            raise RuntimeError(
                f"The shape of the {rank}D attn_mask is {attn_mask.shape}, but should be {wanted}."
            )
        attn_mask = attn_mask.unsqueeze(0) if rank == 2 else attn_mask
        attn_mask = pad(attn_mask, (0, extra)) if extra else attn_mask
    if padding is not None:
        if tuple(padding.shape) != (batch, source):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, source)}, but got {padding.shape}"
            )
        padding = pad(padding, (0, extra)) if extra else padding
        padding = padding.view(batch, 1, 1, source + extra).expand(-1, heads, -1, -1)
        padding = padding.reshape(batch * heads, 1, source + extra)
        attn_mask = padding if attn_mask is None else attn_mask + padding
    return attn_mask


_W, _B, _O, _OB = t(12, 4), t(12), t(4, 4), t(4)
_HEADS = (4, 2, _W, _B, None, None, False, 0.0, _O, _OB)


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(t(3, 2, 4), t(5, 2, 4), t(5, 2, 4), *_HEADS),
        S(t(3, 2, 4), t(5, 2, 4), t(5, 2, 4), *_HEADS, need_weights=False, attn_mask=t(3, 5),
          tolerance=2),
        S(t(3, 4), t(5, 4), t(5, 4), *_HEADS, average_attn_weights=False),
        S(
            t(3, 2, 4), t(5, 2, 4), t(5, 2, 4), *_HEADS,
            key_padding_mask=t(2, 5, values=[0.0, 0, 1, 0, 0, 0, 0, 0, 0, 1], grad=False),
            attn_mask=t(4, 3, 5),
        ),
        S(t(3, 2, 4), t(5, 2, 4), t(5, 2, 4), 4, 2, _W, _B, t(1, 1, 4), t(1, 1, 4), True, 0.0, _O,
          None, attn_mask=t(3, 5)),
        S(t(3, 2, 4), t(5, 2, 3), t(5, 2, 2), 4, 2, None, _B, None, None, False, 0.0, _O, _OB,
          use_separate_proj_weight=True, q_proj_weight=t(4, 4), k_proj_weight=t(4, 3),
          v_proj_weight=t(4, 2)),
    ),
    errors=(
        ErrorSample(
            S(t(3, 2, 4), t(5, 2, 4), t(5, 2, 4), 5, *_HEADS[1:]),
            AssertionError,
            "was expecting embedding dimension of 5, but got 4",
        ),
        ErrorSample(
            S(t(3, 2, 4), t(5, 2, 4), t(5, 2, 4), 4, 3, *_HEADS[2:]),
            AssertionError,
            "embed_dim 4 not divisible by num_heads 3",
        ),
        ErrorSample(
            S(t(3, 2, 4), t(5, 2, 4), t(5, 2, 4), *_HEADS, attn_mask=t(3, 4)),
            RuntimeError,
            r"The shape of the 2D attn_mask is torch.Size\(\[3, 4\]\), but should be \(3, 5\).",
        ),
        ErrorSample(
            S(t(3, 2, 4), t(5, 2, 4), t(5, 2, 4), *_HEADS, is_causal=True),
            RuntimeError,
            "Need attn_mask if specifying the is_causal hint",
        ),
    ),
)  # fmt: skip
def multi_head_attention_forward(
    query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int,
    in_proj_weight: Any, in_proj_bias: Any, bias_k: Any, bias_v: Any, add_zero_attn: bool,
    dropout_p: float, out_proj_weight: Any, out_proj_bias: Any, training: bool = True,
    key_padding_mask: Any = None, need_weights: bool = True, attn_mask: Any = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Any = None, k_proj_weight: Any = None,
    v_proj_weight: Any = None, static_k: Any = None, static_v: Any = None,
    average_attn_weights: bool = True, is_causal: bool = False,
) -> Any:  # fmt: skip
    """Attention of several heads, with the weights of ``nn.MultiheadAttention``.

    Args:
        query: (L, N, E), or (L, E).
        key, value: (S, N, E), or (S, E).
        embed_dim_to_check: E.
        num_heads: how many parts E is cut into.
        in_proj_weight, in_proj_bias: (3 E, E) and (3 E), or ``None`` with separate weights.
        bias_k, bias_v: one more position, (1, 1, E).
        add_zero_attn: one more position of zeros.
        dropout_p: probability of zeroing a weight in training.
        out_proj_weight, out_proj_bias: (E, E) and (E).
        key_padding_mask: (N, S), boolean (True is left out) or added to the scores.
        attn_mask: (L, S) or (N * heads, L, S), the same.
        need_weights: also give the attention weights.
        average_attn_weights: their mean over the heads.

    Returns:
        The result, as ``query``, and the attention weights (N, L, S) or ``None``.

    >>> import rushlight as torch
    >>> x, w, b = torch.ones(1, 2), torch.ones(6, 2), torch.zeros(6)
    >>> y, _ = torch.nn.functional.multi_head_attention_forward(
    ...     x, x, x, 2, 1, w, b, None, None, False, 0.0, torch.eye(2), None)
    >>> y
    tensor([[2., 2.]])
    """
    _check_heads(query, embed_dim_to_check, num_heads, is_causal, attn_mask)
    single = query.dim() == 2
    if single:
        query, key, value = _batch_of_one(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _project(query, key, value, in_proj_weight, in_proj_bias, separate)
    attn_mask = _float_mask(attn_mask, q, "attn_mask")
    padding = _float_mask(key_padding_mask, q, "key_padding_mask")
    (length, batch, width), source = query.shape, key.shape[0]
    q, k, v, extra = _split_heads(q, k, v, num_heads, bias_k, bias_v, add_zero_attn)
    mask = _merge_masks(attn_mask, padding, batch, num_heads, length, source, extra)
    attend = _attend if need_weights else _attend_only
    y, weights = attend(q, k, v, mask, dropout_p if training else 0.0, batch)
    y = y.contiguous().view(length * batch, width)
    y = function_of("nn.functional.linear")(y, out_proj_weight, out_proj_bias)
    y = y.view(length, batch, y.shape[1])
    if weights is not None:
        weights = weights.view(batch, num_heads, length, source + extra)
        weights = weights.mean(1) if average_attn_weights else weights
    if single:
        return y.squeeze(1), None if weights is None else weights.squeeze(0)
    return y, weights


def _batch_of_one(query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """Unbatched arguments with a batch axis; what was one tensor stays one."""
    q = query.unsqueeze(1)
    k = q if key is query else key.unsqueeze(1)
    return q, k, k if value is key else value.unsqueeze(1)


def _split_heads(
    q: Any, k: Any, v: Any, heads: int, bias_k: Any, bias_v: Any, zero: bool
) -> tuple[Any, Any, Any, int]:
    """Query, key and value as (N * heads, ..., E / heads), and how many positions were added."""
    cat = function_of("torch.cat")
    batch, width = q.shape[1:]
    extra = 0
    if bias_k is not None and bias_v is not None:
        k, v = cat([k, bias_k.repeat(1, batch, 1)]), cat([v, bias_v.repeat(1, batch, 1)])
        extra += 1

    def split(x: Any) -> Any:
        return x.contiguous().view(x.shape[0], batch * heads, width // heads).transpose(0, 1)

    q, k, v = split(q), split(k), split(v)
    if zero:
        nothing = k.new_zeros((batch * heads, 1, width // heads))
        k, v = cat([k, nothing], 1), cat([v, nothing], 1)
        extra += 1
    return q, k, v, extra


def _attend_only(
    q: Any, k: Any, v: Any, mask: Any, dropout_p: float, batch: int
) -> tuple[Any, None]:
    """What (N * heads, ..., E / heads) attend to, as (L, N, heads, E / heads)."""
    lead = (batch, q.shape[0] // batch) if batch else (0, 1)
    q, k, v = (x.view(*lead, *x.shape[1:]) for x in (q, k, v))
    if mask is not None:
        one = mask.shape[0] == 1
        mask = mask.unsqueeze(0) if one else mask.view(*lead, *mask.shape[1:])
    return scaled_dot_product_attention(q, k, v, mask, dropout_p).permute(2, 0, 1, 3), None


def _attend(
    q: Any, k: Any, v: Any, mask: Any, dropout_p: float, batch: int
) -> tuple[Any, Any]:
    """The same as (L, N * heads, E / heads), and the weights."""
    scores = (q * math.sqrt(1.0 / q.shape[-1])) @ k.transpose(-2, -1)
    weights = (scores if mask is None else scores + mask).softmax(-1)
    if dropout_p > 0.0:
        weights = function_of("nn.functional.dropout")(weights, dropout_p)
    return (weights @ v).transpose(0, 1), weights
