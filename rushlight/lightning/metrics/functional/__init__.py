"""Metrics as functions: ``pytorch_lightning.metrics.functional``, ``torchmetrics.functional``."""

from rushlight.lightning.metrics.functional.classification import (
    accuracy as accuracy,
    cohen_kappa as cohen_kappa,
    confusion_matrix as confusion_matrix,
    dice_score as dice_score,
    f1 as f1,
    f1_score as f1_score,
    fbeta as fbeta,
    fbeta_score as fbeta_score,
    hamming_distance as hamming_distance,
    iou as iou,
    jaccard_index as jaccard_index,
    matthews_corrcoef as matthews_corrcoef,
    precision as precision,
    precision_recall as precision_recall,
    recall as recall,
    specificity as specificity,
    stat_scores as stat_scores,
)
from rushlight.lightning.metrics.functional.curves import (
    auc as auc,
    auroc as auroc,
    average_precision as average_precision,
    precision_recall_curve as precision_recall_curve,
    roc as roc,
)
from rushlight.lightning.metrics.functional.regression import (
    explained_variance as explained_variance,
    mean_absolute_error as mean_absolute_error,
    mean_absolute_percentage_error as mean_absolute_percentage_error,
    mean_squared_error as mean_squared_error,
    mean_squared_log_error as mean_squared_log_error,
    pearson_corrcoef as pearson_corrcoef,
    r2_score as r2_score,
    r2score as r2score,
)
