"""Every layer as PyTorch makes it: text, names, first values to the bit, random numbers used."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight import nn
from tests.nn.both import oracle

LAYERS = [
    "Linear(3,4)",
    "Linear(3,4,bias=False)",
    "Bilinear(2,3,4)",
    "Identity()",
    "Conv1d(4,6,3)",
    "Conv2d(3,6,5,padding=2,stride=(1,2),dilation=2,bias=False)",
    "Conv2d(4,8,3,groups=2,padding='same',padding_mode='reflect')",
    "Conv3d(1,2,3,padding=1)",
    "ConvTranspose1d(2,3,4,stride=2,padding=1,output_padding=1)",
    "ConvTranspose2d(2,3,4,stride=2)",
    "ConvTranspose3d(2,3,2)",
    "MaxPool1d(2)",
    "MaxPool2d(2,2)",
    "MaxPool2d((3,2),stride=1,padding=1,ceil_mode=True)",
    "MaxPool3d(2)",
    "MaxUnpool1d(2)",
    "MaxUnpool2d(2)",
    "MaxUnpool3d(2)",
    "AvgPool1d(2)",
    "AvgPool2d(2)",
    "AvgPool3d((2,2,2))",
    "LPPool1d(2,3)",
    "LPPool2d(2,3,stride=(2,1))",
    "LPPool3d(2,3)",
    "AdaptiveAvgPool1d(5)",
    "AdaptiveAvgPool2d((1,None))",
    "AdaptiveAvgPool3d(1)",
    "AdaptiveMaxPool1d(5)",
    "AdaptiveMaxPool2d((1,2))",
    "AdaptiveMaxPool3d(1)",
    "FractionalMaxPool2d(2,output_size=2)",
    "FractionalMaxPool3d(2,output_ratio=0.5)",
    "ReflectionPad1d(2)",
    "ReflectionPad2d((1,2,3,4))",
    "ReflectionPad3d(1)",
    "ReplicationPad1d(2)",
    "ReplicationPad2d(2)",
    "ReplicationPad3d(2)",
    "ZeroPad1d(2)",
    "ZeroPad2d(2)",
    "ZeroPad3d(2)",
    "ConstantPad1d(2,3.5)",
    "ConstantPad2d(2,3.5)",
    "ConstantPad3d(2,3.5)",
    "CircularPad1d(2)",
    "CircularPad2d(2)",
    "CircularPad3d(2)",
    "ReLU()",
    "ReLU(True)",
    "RReLU()",
    "RReLU(inplace=True)",
    "Hardtanh()",
    "Hardtanh(-2,2,True)",
    "ReLU6()",
    "ReLU6(True)",
    "Sigmoid()",
    "Hardsigmoid()",
    "Hardsigmoid(True)",
    "Tanh()",
    "SiLU()",
    "SiLU(True)",
    "Mish()",
    "Hardswish(True)",
    "ELU()",
    "ELU(0.5,True)",
    "CELU()",
    "SELU()",
    "GLU()",
    "GELU()",
    "GELU('tanh')",
    "Hardshrink()",
    "LeakyReLU()",
    "LeakyReLU(0.2,inplace=True)",
    "LogSigmoid()",
    "Softplus()",
    "Softshrink()",
    "PReLU()",
    "PReLU(3,0.1)",
    "Softsign()",
    "Tanhshrink()",
    "Softmin()",
    "Softmax(dim=1)",
    "Softmax2d()",
    "LogSoftmax(dim=-1)",
    "Threshold(0.1,20)",
    "MultiheadAttention(8,2)",
    "MultiheadAttention(8,2,bias=False,add_bias_kv=True,kdim=3,vdim=5,batch_first=True)",
    "BatchNorm1d(3)",
    "BatchNorm2d(3,eps=1e-3,momentum=None)",
    "BatchNorm3d(3,affine=False)",
    "BatchNorm2d(3,track_running_stats=False)",
    "BatchNorm2d(3,bias=False)",
    "SyncBatchNorm(3)",
    "InstanceNorm1d(3)",
    "InstanceNorm2d(3,affine=True,track_running_stats=True)",
    "InstanceNorm3d(3)",
    "LayerNorm(5)",
    "LayerNorm((2,3),eps=1e-3,bias=False)",
    "LayerNorm([2,3],elementwise_affine=False)",
    "GroupNorm(2,4)",
    "GroupNorm(2,4,affine=False)",
    "RMSNorm(4)",
    "RMSNorm((2,4),eps=1e-3,elementwise_affine=False)",
    "LocalResponseNorm(2)",
    "CrossMapLRN2d(2)",
    "Dropout()",
    "Dropout(0.2,True)",
    "Dropout1d()",
    "Dropout2d()",
    "Dropout3d()",
    "AlphaDropout()",
    "FeatureAlphaDropout(0.3)",
    "Embedding(10,3)",
    "Embedding(10,3,padding_idx=-1,max_norm=1.0,norm_type=1.0,scale_grad_by_freq=True,sparse=True)",
    "EmbeddingBag(10,3)",
    "EmbeddingBag(10,3,mode='sum',padding_idx=2,max_norm=2.)",
    "Flatten()",
    "Unflatten(1,(2,3))",
    "Fold((4,4),2)",
    "Unfold((2,3),dilation=2)",
    "PixelShuffle(2)",
    "PixelUnshuffle(2)",
    "ChannelShuffle(2)",
    "Upsample(scale_factor=2)",
    "Upsample(size=(2,3),mode='bilinear')",
    "Upsample(scale_factor=(2,3))",
    "UpsamplingNearest2d(scale_factor=2)",
    "UpsamplingBilinear2d(size=4)",
    "CosineSimilarity()",
    "PairwiseDistance()",
    "RNN(3,4)",
    "RNN(3,4,2,'relu',bias=False,batch_first=True,dropout=0.5,bidirectional=True)",
    "LSTM(3,4,num_layers=2)",
    "LSTM(3,4,proj_size=2,bidirectional=True)",
    "GRU(3,4,2,bidirectional=True,batch_first=True)",
    "RNNCell(3,4)",
    "RNNCell(3,4,False,'relu')",
    "LSTMCell(3,4)",
    "GRUCell(3,4,bias=False)",
    "L1Loss()",
    "NLLLoss()",
    "NLLLoss(weight=torch.ones(3))",
    "PoissonNLLLoss()",
    "GaussianNLLLoss()",
    "KLDivLoss()",
    "MSELoss(reduction='sum')",
    "BCELoss()",
    "BCEWithLogitsLoss(pos_weight=torch.ones(3))",
    "HingeEmbeddingLoss()",
    "MultiLabelMarginLoss()",
    "SmoothL1Loss()",
    "HuberLoss()",
    "SoftMarginLoss()",
    "CrossEntropyLoss()",
    "CrossEntropyLoss(label_smoothing=0.1)",
    "MultiLabelSoftMarginLoss()",
    "CosineEmbeddingLoss()",
    "MarginRankingLoss()",
    "MultiMarginLoss()",
    "TripletMarginLoss()",
    "TripletMarginWithDistanceLoss()",
    "CTCLoss()",
    "AdaptiveLogSoftmaxWithLoss(16,30,[5,10])",
    "TransformerEncoderLayer(8,2,16)",
    "TransformerDecoderLayer(8,2,16,norm_first=True,bias=False)",
    "TransformerEncoder(nn.TransformerEncoderLayer(8,2,16,batch_first=True),2)",
    "TransformerDecoder(nn.TransformerDecoderLayer(8,2,16),3)",
    "Transformer(8,2,1,2,16)",
    "LazyLinear(3)",
    "LazyConv2d(3,3)",
    "LazyConv1d(3,3,1,1,1,1,False)",
    "LazyConvTranspose2d(3,3)",
    "LazyBatchNorm1d()",
    "LazyInstanceNorm2d(affine=True)",
    "ModuleList([nn.Linear(2,3),nn.Linear(2,3),nn.ReLU(),nn.ModuleList()])",
    "ModuleDict({'b':nn.ReLU(),'a':nn.Conv1d(1,1,1)})",
    "Sequential(nn.Linear(2,3),nn.Sequential(nn.ReLU(),nn.Dropout()))",
    "ParameterList([torch.zeros(2,3),torch.ones(1)])",
    "ParameterDict({'b':torch.zeros(2,3),'a':torch.ones(1)})",
    "Sequential()",
]

#: What PyTorch has beside layers of its own, or in another part of the package.
ELSEWHERE = {"DataParallel", "LinearCrossEntropyLoss", "LinearCrossEntropyOptions"}


def made(torch: Any, text: str) -> tuple[Any, np.ndarray]:
    """The layer, and the random number that comes after it."""
    torch.manual_seed(5)
    layer = eval("nn." + text, {"nn": torch.nn, "torch": torch})
    return layer, np.array(torch.rand(1).numpy())


@pytest.mark.parametrize("text", LAYERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_layer(text: str) -> None:
    torch = oracle()
    theirs, their_draw = made(torch, text)
    ours, our_draw = made(rushlight, text)
    assert repr(ours) == repr(theirs)
    assert our_draw == their_draw
    saved, their_saved = ours.state_dict(), theirs.state_dict()
    assert list(saved) == list(their_saved)
    assert dict(saved._metadata) == dict(their_saved._metadata)
    if not text.startswith("Lazy"):
        for name, value in their_saved.items():
            np.testing.assert_array_equal(saved[name].numpy(), value.numpy(), err_msg=name)
    assert [(n, p.requires_grad) for n, p in ours.named_parameters()] == [
        (n, p.requires_grad) for n, p in theirs.named_parameters()
    ]


@pytest.mark.parametrize("text", LAYERS)
def test_arguments(text: str) -> None:
    """The same arguments in the same order (PyTorch hides those of recurrent layers)."""
    torch = oracle()
    name = text.partition("(")[0]
    theirs = inspect.signature(getattr(torch.nn, name).__init__).parameters
    ours = inspect.signature(getattr(nn, name).__init__).parameters
    if any(p.kind is p.VAR_POSITIONAL for p in theirs.values()):
        return
    for mine, other in zip(ours.values(), theirs.values(), strict=True):
        assert (mine.name, mine.kind) == (other.name, other.kind)
        if mine.name != "activation" and not callable(other.default):
            assert mine.default == other.default, mine.name


def test_names() -> None:
    torch = oracle()
    wanted = {name for name in dir(torch.nn) if name[0].isupper()} - ELSEWHERE
    assert sorted(wanted - set(dir(nn))) == []


def test_relations() -> None:
    """One layer is a kind of another exactly where PyTorch has it so."""
    torch = oracle()
    names = [n for n in dir(torch.nn) if n[0].isupper() and n not in ELSEWHERE]
    for one in names:
        for other in names:
            theirs = issubclass(getattr(torch.nn, one), getattr(torch.nn, other))
            assert issubclass(getattr(nn, one), getattr(nn, other)) == theirs, (one, other)
