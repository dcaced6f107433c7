"""Metrics over many batches: ``pytorch_lightning.metrics`` and ``torchmetrics``."""

from rushlight.lightning.metrics import (
    classification as classification,
    functional as functional,
    regression as regression,
)
from rushlight.lightning.metrics.aggregation import (
    CatMetric as CatMetric,
    MaxMetric as MaxMetric,
    MeanMetric as MeanMetric,
    MinMetric as MinMetric,
    SumMetric as SumMetric,
)
from rushlight.lightning.metrics.classification import (
    AUROC as AUROC,
    F1 as F1,
    ROC as ROC,
    Accuracy as Accuracy,
    AveragePrecision as AveragePrecision,
    CohenKappa as CohenKappa,
    ConfusionMatrix as ConfusionMatrix,
    F1Score as F1Score,
    FBeta as FBeta,
    FBetaScore as FBetaScore,
    HammingDistance as HammingDistance,
    IoU as IoU,
    JaccardIndex as JaccardIndex,
    MatthewsCorrCoef as MatthewsCorrCoef,
    Precision as Precision,
    PrecisionRecallCurve as PrecisionRecallCurve,
    Recall as Recall,
    Specificity as Specificity,
)
from rushlight.lightning.metrics.collection import MetricCollection as MetricCollection
from rushlight.lightning.metrics.metric import Metric as Metric
from rushlight.lightning.metrics.regression import (
    ExplainedVariance as ExplainedVariance,
    MeanAbsoluteError as MeanAbsoluteError,
    MeanAbsolutePercentageError as MeanAbsolutePercentageError,
    MeanSquaredError as MeanSquaredError,
    MeanSquaredLogError as MeanSquaredLogError,
    PearsonCorrCoef as PearsonCorrCoef,
    R2Score as R2Score,
)

globals().update(classification.BY_TASK)
