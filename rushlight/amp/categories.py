"""In which type each operator computes under autocast: the one table.

It follows the lists of PyTorch's CPU backend
(https://pytorch.org/docs/stable/amp.html#cpu-op-specific-behavior); an operator that is not in it
computes in the types it is given.
"""

from __future__ import annotations

from enum import Enum

from rushlight.engine.ir.op import Composite, Op, Record


class Category(Enum):
    """What autocast does to the inputs of an operator."""

    LOWER = "lower"  #: to the type of the autocast block
    FLOAT32 = "float32"  #: to float32
    WIDEST = "widest"  #: to float32 where one of them is
    UNCHANGED = "unchanged"  #: nothing, nor to what the operator is made of


_LOWER_OPS = (
    "mm", "matmul_nn", "matmul_nt", "matmul_nt_rows", "matmul_tn", "linear_", "linear_rows", "bmm",
    "batched", "addmm_", "baddbmm_", "addbmm_", "contract", "convolution", "conv_tbc_", "prelu",
    "attention_", "lstm_sequence", "elman_sequence",
)  # fmt: skip
_LOWER = (
    "torch.matmul", "linalg.matmul", "linalg.vecdot", "linalg.multi_dot", "torch.chain_matmul",
    "nn.functional.scaled_dot_product_attention",
)  # fmt: skip
_FLOAT32_OPS = (
    "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d",
    "replication_pad3d", "polar", "view_as_complex",
)  # fmt: skip
_FLOAT32 = (
    "torch.trace", "torch.prod", "torch.quantile", "torch.nanquantile", "torch.cdist",
    "torch.cholesky", "torch.cholesky_inverse", "torch.cholesky_solve", "torch.inverse",
    "torch.pinverse", "torch.lu_solve", "torch.grid_sampler", "torch.grid_sampler_2d",
    "torch.grid_sampler_3d", "torch.cosine_embedding_loss", "torch.ctc_loss",
    "torch.hinge_embedding_loss", "torch.margin_ranking_loss", "torch.poisson_nll_loss",
    "torch.triplet_margin_loss", "torch.kl_div", "torch.binary_cross_entropy_with_logits",
    "linalg.inv", "linalg.inv_ex", "linalg.solve", "linalg.solve_ex", "linalg.cholesky",
    "linalg.cholesky_ex", "linalg.qr", "linalg.svd", "linalg.svdvals", "linalg.eigh",
    "linalg.eigvalsh", "linalg.eig", "linalg.eigvals", "linalg.matrix_rank", "linalg.lstsq",
    "linalg.cond", "linalg.tensorinv", "linalg.tensorsolve",
    *(
        f"nn.functional.{name}"
        for name in (
            "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "nll_loss",
            "cross_entropy", "hinge_embedding_loss", "margin_ranking_loss", "soft_margin_loss",
            "triplet_margin_loss", "cosine_embedding_loss", "multi_margin_loss",
            "multilabel_margin_loss", "ctc_loss", "kl_div", "binary_cross_entropy",
            "binary_cross_entropy_with_logits", "grid_sample", "max_pool3d", "avg_pool3d",
            "adaptive_avg_pool3d", "adaptive_max_pool3d", "fractional_max_pool3d", "max_unpool2d",
            "max_unpool3d",
        )
    ),
)  # fmt: skip
_WIDEST = ("torch.cat", "torch.stack", "torch.index_copy")
_UNCHANGED = ("nn.functional.bilinear",)

#: The category of every operator that has one, by its record.
CATEGORIES: dict[Record, Category] = {
    **{Op.registry[name]: Category.LOWER for name in _LOWER_OPS},
    **{Composite.registry[name]: Category.LOWER for name in _LOWER},
    **{Op.registry[name]: Category.FLOAT32 for name in _FLOAT32_OPS},
    **{Composite.registry[name]: Category.FLOAT32 for name in _FLOAT32},
    **{Composite.registry[name]: Category.WIDEST for name in _WIDEST},
    **{Composite.registry[name]: Category.UNCHANGED for name in _UNCHANGED},
}
