"""Where rushlight and PyTorch may differ, and why: the whole list."""

from __future__ import annotations

from collections.abc import Callable

from tests.ops.harness import Call, Face


def other_names(face: Face) -> Callable[[str, str], bool]:
    """Whether a name of ``grad_fn`` may stand for PyTorch's."""

    def same(ours: str, expected: str) -> bool:
        if face.writes and ours.rstrip("0123456789") == expected.rstrip("0123456789"):
            return True  # PyTorch counts in-place forms on; here they are the plain ones
        if face.name in COMPARE_INPLACE and ours == "CopyBackwards":
            return True  # nothing of the old contents is left, and no gradient
        return GRAD_NAMES.get((face.name, expected)) == ours

    return same


#: In-place comparisons, which PyTorch gives nodes of their own.
COMPARE_INPLACE = {
    f"Tensor.{name}_" for name in ("eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less",
                                   "less_equal", "greater", "greater_equal")
}  # fmt: skip


#: Functions whose in-place forms PyTorch differentiates by formulas of their own.
OWN_INPLACE = {
    "acosh": "Acosh", "arccosh": "Acosh", "asinh": "Asinh", "arcsinh": "Asinh", "atanh": "Atanh",
    "arctanh": "Atanh", "conj_physical": "ConjPhysical", "nn.functional.celu": "Celu",
    "nn.functional.elu": "Elu", "nn.functional.leaky_relu": "LeakyRelu",
    "nn.functional.rrelu": "RreluWithNoise", "nn.functional.selu": "Elu",
    "nn.functional.threshold": "Threshold", "Tensor.polygamma": "Polygamma",
}  # fmt: skip

#: Names of ``grad_fn`` that differ from PyTorch's, by operator and PyTorch's name.
GRAD_NAMES: dict[tuple[str, str], str] = {
    (face, f"{name}Backward1"): f"{name}Backward0" for face, name in OWN_INPLACE.items()
} | {
    ("nn.functional.cross_entropy", "DivBackward1"): "DivBackward0",
    ("nn.functional.linear_cross_entropy", "DivBackward1"): "DivBackward0",
    (
        "nn.functional.scaled_dot_product_attention",
        "ScaledDotProductFlashAttentionForCpuBackward0",
    ): "UnsafeViewBackward0",
    ("gru", "TransposeBackward1"): "TransposeBackward0",
    ("lstm", "MkldnnRnnLayerBackward0"): "StackBackward0",
    ("rnn_relu", "TransposeBackward1"): "TransposeBackward0",
    ("rnn_tanh", "TransposeBackward1"): "TransposeBackward0",
    # composites that end in another step than PyTorch's
    ("cdist", "ViewBackward0"): "CdistBackward0",
    ("chain_matmul", "ViewBackward0"): "MmBackward0",
    ("cumulative_trapezoid", "DivBackward1"): "CumsumBackward0",
    ("einsum", "MulBackward0"): "ViewBackward0",
    ("kron", "UnsafeViewBackward0"): "ViewBackward0",
    ("linalg.cond", "NanToNumBackward0"): "WhereBackward0",
    ("linalg.cond", "SqueezeBackward1"): "DivBackward0",
    ("linalg.lu_solve", "LinalgLuSolveBackward0"): "LinalgSolveExBackward0",
    ("linalg.matrix_norm", "PermuteBackward0"): "UnsqueezeBackward0",
    ("linalg.multi_dot", "ViewBackward0"): "MmBackward0",
    ("linalg.tensorinv", "ReshapeAliasBackward0"): "ViewBackward0",
    ("matmul", "CloneBackward0"): "UnsafeViewBackward0",
    ("matmul", "SqueezeBackward4"): "SqueezeBackward1",
    ("matmul", "UnsafeViewBackward0"): "ViewBackward0",
    ("nanquantile", "SqueezeBackward4"): "ViewBackward0",
    ("nn.functional.linear", "SqueezeBackward4"): "UnsafeViewBackward0",
    ("quantile", "SqueezeBackward4"): "ViewBackward0",
    ("trapezoid", "MulBackward1"): "DivBackward0",
    ("trapezoid", "DivBackward1"): "DivBackward0",
    ("trapz", "MulBackward1"): "DivBackward0",
    ("trapz", "DivBackward1"): "DivBackward0",
}


#: Shapes for which PyTorch returns memory it has not written.
UNWRITTEN = {("nn.functional.multi_margin_loss", "3 made 0")}


def undefined(face: Face, what: str, call: Call) -> bool:
    """Whether PyTorch has no rule for these shapes.

    A convolution with filters of no elements gives it results of shapes that do not go together.
    """
    without_filters = "conv" in face.name and call.leaves[1].array.size == 0
    return without_filters or (face.name, what) in UNWRITTEN


#: Operators whose results depend on how their input lies in memory, as they should.
DEPENDS_ON_MEMORY = {
    "Tensor.as_strided_", "Tensor.view", "Tensor.view_as", "alpha_dropout", "alpha_dropout_",
    "as_strided", "as_strided_scatter", "dropout", "dropout_", "nn.functional.alpha_dropout",
    "nn.functional.dropout", "view_as_complex",
}  # fmt: skip
