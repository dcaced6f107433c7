"""Every layer run forward and backward: results, gradients and running statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.nn.both import compare

Input = tuple[int, ...] | str | list[Any]

ACTIVATIONS = [
    "ReLU()", "ReLU6()", "Hardtanh()", "Sigmoid()", "Hardsigmoid()", "Tanh()", "SiLU()", "Mish()",
    "Hardswish()", "ELU(0.5)", "CELU(0.7)", "SELU()", "GLU()", "GELU()", "GELU('tanh')",
    "Hardshrink()", "LeakyReLU(0.2)", "LogSigmoid()", "Softplus(2.)", "Softshrink()", "PReLU()",
    "PReLU(4)", "Softsign()", "Tanhshrink()", "Softmin(1)", "Softmax(1)", "LogSoftmax(-1)",
    "Threshold(0.1,20)", "RReLU().eval()", "RReLU()",
]  # fmt: skip

#: Layer, and its inputs: a shape for normal numbers (with a word: how they are made), or numbers.
CASES: list[tuple[str, list[Input]]] = [
    ("Linear(3,4)", [(2, 3)]),
    ("Bilinear(2,3,4)", [(5, 2), (5, 3)]),
    ("Conv1d(4,6,3,padding=1)", [(2, 4, 9)]),
    ("Conv2d(4,8,3,groups=2,padding='same',padding_mode='reflect')", [(2, 4, 6, 6)]),
    ("Conv2d(4,8,3,padding=1,padding_mode='circular')", [(2, 4, 6, 6)]),
    ("Conv2d(1,2,4,padding='same')", [(2, 1, 6, 6)]),
    ("Conv3d(1,2,3,padding=1)", [(1, 1, 4, 4, 4)]),
    ("ConvTranspose1d(2,3,4,stride=2,padding=1,output_padding=1)", [(1, 2, 5)]),
    ("ConvTranspose2d(2,3,4,stride=2)", [(1, 2, 5, 5)]),
    ("ConvTranspose3d(2,3,2)", [(1, 2, 3, 3, 3)]),
    ("MaxPool1d(2)", [(1, 2, 6)]),
    ("MaxPool2d((3,2),stride=1,padding=1,ceil_mode=True)", [(1, 2, 6, 6)]),
    ("MaxPool3d(2)", [(1, 2, 4, 4, 4)]),
    ("AvgPool1d(2)", [(1, 2, 6)]),
    ("AvgPool2d(2)", [(1, 2, 6, 6)]),
    ("AvgPool3d(2)", [(1, 2, 4, 4, 4)]),
    ("LPPool1d(2,3)", [(1, 2, 6)]),
    ("LPPool2d(2,3)", [(1, 2, 6, 6)]),
    ("AdaptiveAvgPool1d(5)", [(1, 2, 7)]),
    ("AdaptiveAvgPool2d((1,None))", [(1, 2, 6, 6)]),
    ("AdaptiveAvgPool3d(1)", [(1, 2, 4, 4, 4)]),
    ("AdaptiveMaxPool1d(5)", [(1, 2, 7)]),
    ("AdaptiveMaxPool2d((1,2))", [(1, 2, 6, 6)]),
    ("AdaptiveMaxPool3d(1)", [(1, 2, 4, 4, 4)]),
    ("FractionalMaxPool2d(2,output_size=2)", [(1, 2, 6, 6)]),
    ("ReflectionPad1d(2)", [(1, 2, 6)]),
    ("ReflectionPad2d((1,2,3,4))", [(1, 2, 6, 6)]),
    ("ReplicationPad3d(2)", [(1, 2, 4, 4, 4)]),
    ("ZeroPad2d(2)", [(1, 2, 6, 6)]),
    ("ConstantPad1d(2,3.5)", [(1, 2, 6)]),
    ("CircularPad2d(2)", [(1, 2, 6, 6)]),
    *[(text, [(3, 4)]) for text in ACTIVATIONS],
    ("Softmax2d()", [(2, 3, 4, 4)]),
    ("BatchNorm1d(3)", [(5, 3)]),
    ("BatchNorm2d(3)", [(5, 3, 4, 4)]),
    ("BatchNorm3d(3,affine=False)", [(5, 3, 2, 2, 2)]),
    ("BatchNorm1d(3).eval()", [(5, 3)]),
    ("BatchNorm1d(3,momentum=None)", [(5, 3)]),
    ("BatchNorm1d(3,track_running_stats=False)", [(5, 3)]),
    ("SyncBatchNorm(3).eval()", [(5, 3, 2)]),
    ("InstanceNorm1d(3)", [(2, 3, 4)]),
    ("InstanceNorm1d(3)", [(3, 4)]),
    ("InstanceNorm2d(3,affine=True,track_running_stats=True)", [(2, 3, 4, 4)]),
    ("LayerNorm(5)", [(2, 5)]),
    ("LayerNorm((2,3),bias=False)", [(4, 2, 3)]),
    ("GroupNorm(2,4)", [(2, 4, 3)]),
    ("RMSNorm(4)", [(2, 4)]),
    ("LocalResponseNorm(2)", [(2, 4, 3, 3)]),
    ("Dropout(0.4)", [(8, 8)]),
    ("Dropout2d(0.4)", [(2, 8, 3, 3)]),
    ("AlphaDropout(0.4)", [(8, 8)]),
    ("Embedding(10,3,padding_idx=1)", [[[1, 2], [4, 5]]]),
    ("EmbeddingBag(10,3,mode='sum')", [[[1, 2], [4, 5]]]),
    ("EmbeddingBag(10,3)", [[1, 2, 4, 5], [0, 3]]),
    ("Flatten()", [(2, 3, 4)]),
    ("Unflatten(1,(2,3))", [(2, 6)]),
    ("Fold((4,4),2)", [(1, 12, 9)]),
    ("Unfold((2,3),dilation=2)", [(1, 2, 7, 7)]),
    ("PixelShuffle(2)", [(1, 8, 2, 2)]),
    ("PixelUnshuffle(2)", [(1, 2, 4, 4)]),
    ("ChannelShuffle(2)", [(1, 4, 2, 2)]),
    ("Upsample(scale_factor=2)", [(1, 2, 3, 3)]),
    ("Upsample(size=(5,7),mode='bilinear')", [(1, 2, 3, 3)]),
    ("UpsamplingBilinear2d(scale_factor=2)", [(1, 2, 3, 3)]),
    ("CosineSimilarity()", [(2, 3), (2, 3)]),
    ("PairwiseDistance()", [(2, 3), (2, 3)]),
    ("RNN(3,4)", [(5, 2, 3)]),
    ("RNN(3,4,2,'relu',bias=False,batch_first=True,bidirectional=True)", [(2, 5, 3)]),
    ("LSTM(3,4,num_layers=2)", [(5, 2, 3)]),
    ("LSTM(3,4,proj_size=2,bidirectional=True)", [(5, 2, 3)]),
    ("LSTM(3,4)", [(5, 3)]),
    ("GRU(3,4,2,bidirectional=True,batch_first=True)", [(2, 5, 3)]),
    ("GRU(3,4)", [(5, 2, 3), (1, 2, 4)]),
    ("GRU(3,4)", [(5, 3), (1, 4)]),
    ("RNNCell(3,4)", [(2, 3)]),
    ("LSTMCell(3,4)", [(2, 3)]),
    ("GRUCell(3,4)", [(3,)]),
    ("MultiheadAttention(8,2)", [(5, 2, 8), (6, 2, 8), (6, 2, 8)]),
    (
        "MultiheadAttention(8,2,add_bias_kv=True,kdim=3,vdim=5,batch_first=True,"
        "add_zero_attn=True)",
        [(2, 5, 8), (2, 6, 3), (2, 6, 5)],
    ),
    ("TransformerEncoderLayer(8,2,16,dropout=0.)", [(5, 2, 8)]),
    ("TransformerEncoderLayer(8,2,16,dropout=0.,activation='gelu')", [(5, 8)]),
    ("TransformerDecoderLayer(8,2,16,dropout=0.,norm_first=True)", [(5, 2, 8), (6, 2, 8)]),
    ("Transformer(8,2,1,2,16,dropout=0.,batch_first=True)", [(2, 5, 8), (2, 6, 8)]),
    ("AdaptiveLogSoftmaxWithLoss(16,30,[5,10])", [(6, 16), [0, 3, 5, 9, 10, 29]]),
    ("L1Loss()", [(3, 4), (3, 4)]),
    ("MSELoss(reduction='sum')", [(3, 4), (3, 4)]),
    ("SmoothL1Loss()", [(3, 4), (3, 4)]),
    ("HuberLoss(delta=.5)", [(3, 4), (3, 4)]),
    ("NLLLoss()", [(3, 4), [1, 0, 3]]),
    ("CrossEntropyLoss(label_smoothing=0.1)", [(3, 4), [1, 0, 3]]),
    ("CrossEntropyLoss(ignore_index=0)", [(3, 4, 2), [[1, 0], [3, 3], [2, 2]]]),
    ("BCELoss()", ["probability", "truth"]),
    ("BCEWithLogitsLoss()", [(3, 4), "truth"]),
    ("KLDivLoss(reduction='batchmean')", [(3, 4), "probability"]),
    ("PoissonNLLLoss(full=True)", [(3, 4), "count"]),
    ("GaussianNLLLoss()", [(3, 4), (3, 4), "probability"]),
    ("HingeEmbeddingLoss()", [(3, 4), "sign"]),
    ("MultiLabelMarginLoss()", [(3, 4), [[1, 2, -1, 0]] * 3]),
    ("SoftMarginLoss()", [(3, 4), "sign"]),
    ("MultiLabelSoftMarginLoss()", [(3, 4), "truth"]),
    ("CosineEmbeddingLoss(0.1)", [(3, 4), (3, 4), [1, -1, 1]]),
    ("MarginRankingLoss(0.1)", [(3, 4), (3, 4), "sign"]),
    ("MultiMarginLoss(p=2)", [(3, 4), [1, 0, 3]]),
    ("TripletMarginLoss(swap=True)", [(3, 4), (3, 4), (3, 4)]),
    ("TripletMarginWithDistanceLoss()", [(3, 4), (3, 4), (3, 4)]),
    ("CTCLoss()", [(6, 2, 4), [[1, 2], [3, 1]], [6, 5], [2, 1]]),
    ("LazyLinear(3)", [(2, 5)]),
    ("LazyConv2d(3,3)", [(1, 2, 5, 5)]),
    ("LazyConvTranspose2d(3,3)", [(1, 2, 4, 4)]),
    ("LazyBatchNorm1d()", [(4, 3)]),
    ("LazyInstanceNorm2d(affine=True)", [(2, 3, 4, 4)]),
]


#: The same for inputs that do not fit.
WRONG: list[tuple[str, list[Input]]] = [
    ("GRU(3,4)", [(5, 2, 3), (2, 2, 4)]),
    ("GRU(3,4)", [(5, 2, 2)]),
    ("RNN(3,4)", [(5, 2, 3), (2, 4)]),
    ("LSTM(3,4)", [(3,)]),
    ("GRUCell(3,4)", [(2, 2, 3)]),
    ("AdaptiveLogSoftmaxWithLoss(16,30,[5,10])", [(2, 16), [0, 30]]),
    ("BatchNorm2d(3)", [(2, 3)]),
    ("BatchNorm1d(3)", [(2, 3, 4, 4)]),
    ("Conv2d(3,2,3)", [(2, 3)]),
]


def array(given: Input, draw: np.random.RandomState) -> tuple[np.ndarray, bool]:
    """The numbers of an input, and whether it wants a gradient."""
    if isinstance(given, list):
        return np.array(given), False
    if isinstance(given, tuple):
        return draw.randn(*given).astype(np.float32), True
    numbers = draw.rand(3, 4).astype(np.float32)
    made = {
        "probability": 0.1 + 0.8 * numbers,
        "truth": (numbers > 0.5).astype(np.float32),
        "count": np.floor(5 * numbers),
        "sign": np.where(numbers > 0.5, 1, -1).astype(np.float32),
    }
    return made[given], given == "probability"


def flat(value: Any) -> Iterator[Any]:
    """The tensors in nested tuples."""
    if isinstance(value, tuple | list):
        for item in value:
            yield from flat(item)
    elif value is not None:
        yield value


def run(torch: Any, text: str, inputs: list[Input]) -> Any:
    """Results, gradients of inputs and parameters, and buffers after one pass."""
    draw = np.random.RandomState(7)
    layer = eval("nn." + text, {"nn": torch.nn})
    tensors = []
    for given in inputs:
        numbers, wanted = array(given, draw)
        tensors.append(torch.tensor(numbers))
        if wanted:
            tensors[-1].requires_grad_()
    results = list(flat(layer(*tensors)))
    sum((y * y).sum() for y in results if y.is_floating_point()).backward()
    gradients = [x.grad for x in tensors] + [p.grad for p in layer.parameters()]
    return results, gradients, dict(layer.named_buffers()), layer


@pytest.mark.parametrize(
    ("text", "inputs"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_layer(text: str, inputs: list[Input]) -> None:
    compare(run, text, inputs, tolerance=2e-5)


@pytest.mark.parametrize(
    ("text", "inputs"), WRONG, ids=[f"{i}-{c[0]}" for i, c in enumerate(WRONG)]
)
def test_wrong_inputs(text: str, inputs: list[Input]) -> None:
    compare(run, text, inputs, raises=True)


def self_attention(torch: Any, **options: Any) -> Any:
    layer = torch.nn.MultiheadAttention(8, 2, batch_first=options.pop("batch_first", False))
    x = torch.randn(3, 3, 8)
    if options.pop("causal", False):
        options["attn_mask"] = torch.nn.Transformer.generate_square_subsequent_mask(3)
    if options.pop("padded", False):
        options["key_padding_mask"] = torch.tensor([[False, False, True]] * 3)
    return layer(x, x, x, **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True, "need_weights": False},
        {"causal": True, "is_causal": True},
        {"causal": True, "padded": True, "average_attn_weights": False},
        {"is_causal": True, "need_weights": False},
    ],
    ids=str,
)
def test_self_attention(options: dict[str, Any]) -> None:
    compare(lambda torch: self_attention(torch, **options), tolerance=2e-5, raises=None)


def masked_encoder(torch: Any) -> Any:
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    encoder = torch.nn.TransformerEncoder(layer, 2, torch.nn.LayerNorm(8))
    padding = torch.tensor([[False, False, True], [False, False, False]])
    mask = torch.nn.Transformer.generate_square_subsequent_mask(3)
    return encoder(torch.randn(2, 3, 8), mask, padding), encoder


def test_masked_encoder() -> None:
    compare(masked_encoder, tolerance=2e-5)


def transposed_sizes(torch: Any) -> Any:
    layer = torch.nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)
    x = torch.ones(1, 1, 4, 4)
    return [layer(x, output_size=size).shape for size in ([7, 7], (8, 8), (1, 1, 8, 7))]


def test_transposed_sizes() -> None:
    compare(transposed_sizes)
    compare(lambda torch: torch.nn.ConvTranspose1d(1, 1, 3)(torch.ones(1, 1, 4), [9]), raises=True)
    compare(
        lambda torch: torch.nn.ConvTranspose2d(1, 1, 3)(torch.ones(1, 1, 4, 4), [9]), raises=True
    )


def full_log_probability(torch: Any) -> Any:
    layer = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [3, 9], div_value=2.0, head_bias=True)
    x = torch.randn(7, 8)
    return layer.log_prob(x), layer.predict(x), layer(x[0], torch.tensor(4))


def test_adaptive_softmax() -> None:
    compare(full_log_probability)


@pytest.mark.parametrize(
    "text",
    [
        "Conv2d(3,4,1,groups=2)", "Conv2d(4,4,1,groups=0)", "Conv1d(2,2,1,padding='same',stride=2)",
        "ConvTranspose1d(1,1,1,padding_mode='reflect')", "GroupNorm(3,4)", "Dropout(1.5)",
        "Embedding(3,2,padding_idx=3)", "EmbeddingBag(3,2,padding_idx=-4)", "Unflatten(1,3)",
        "Unflatten(1,(2,'a'))", "MultiMarginLoss(p=3)", "TripletMarginLoss(margin=0)",
        "HuberLoss(delta='a')", "MultiheadAttention(7,2)", "MultiheadAttention(0,2)",
        "Hardtanh(1,1)", "Bilinear(0,1,1)", "LSTM(3,0)", "LSTM(3,4,dropout=2)",
        "GRU(3,4,proj_size=2)",
        "LSTM(3,4,proj_size=4)", "RNN(3,4,nonlinearity='x')", "RNN(3.5,4)", "RNN(3,4,bias=1)",
        "FractionalMaxPool2d(2)", "FractionalMaxPool2d(2,1,0.5)", "FractionalMaxPool3d(0,1)",
        "AdaptiveLogSoftmaxWithLoss(4,9,[5,3])", "AdaptiveLogSoftmaxWithLoss(4,9,[])",
        "TransformerEncoderLayer(8,2,activation='tanh')",
    ],
)  # fmt: skip
def test_refused_arguments(text: str) -> None:
    compare(lambda torch: eval("nn." + text, {"nn": torch.nn}), raises=True)
