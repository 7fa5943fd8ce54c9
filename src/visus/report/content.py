"""The content of a report, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from visus.report import plots
from visus.report.pruning import pruning_curve
from visus.structures import Heatmap, Value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRIC_NAMES: Mapping[str, str] = {
    "accuracy": "accuracy",
    "top5_accuracy": "top-5 accuracy",
    "localization_accuracy": "right class and IoU 0.5 or more",
    "top5_localization_accuracy": "the same within five guesses",
    "pck": "PCK@0.1",
    "normalized_error": "mean error by the image's size",
    "visibility_accuracy": "visibility judged right",
    "empty_accuracy": "nothing said of images without object",
    "mask_map50": "mAP of masks at IoU 0.5",
    "mask_map": "COCO mAP of masks (0.50:0.95)",
    "relative_count_error": "number of objects off by",
    "boundary_iou": "boundary IoU of objects found",
    "map50": "mAP at IoU 0.5",
    "map": "COCO mAP (0.50:0.95)",
    "voc07_map": "VOC 2007 mAP",
    "voc10_map": "VOC 2010 mAP",
    "mean_iou": "mean IoU",
    "mean_dice": "mean Dice",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency weighted IoU",
    "boundary_f1": "boundary F1",
    "rand_error": "Rand error",
    "pixel_error": "pixel error",
    "rand_error_at_half": "Rand error at threshold 0.5",
    "mask_map75": "mAP of masks at IoU 0.75",
    "mask_map_small": "COCO mAP of masks, small objects",
    "mask_map_medium": "COCO mAP of masks, medium objects",
    "mask_map_large": "COCO mAP of masks, large objects",
    "mask_ap50": "AP of masks at IoU 0.5",
    "mask_ap": "COCO AP of masks",
    "map75": "mAP at IoU 0.75",
    "map_small": "COCO mAP, small objects",
    "map_medium": "COCO mAP, medium objects",
    "map_large": "COCO mAP, large objects",
    "ap50": "AP at IoU 0.5",
    "ap": "COCO AP",
    "voc07_ap": "VOC 2007 AP",
    "voc10_ap": "VOC 2010 AP",
    "iou": "IoU",
    "dice": "Dice",
    "f1": "F1",
    "mean_average_precision": "mean average precision",
    "average_precision": "average precision",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "subset_accuracy": "all labels of an image right",
    "hamming_loss": "Hamming loss",
}
"""Score -> its name for people, those that say most first."""

OBJECT_NAMES: Mapping[str, str] = {
    "mean_precision": "mean precision (IoU 0.50:0.95)",
    "map": "COCO mAP of masks",
    "map50": "mAP of masks at IoU 0.5",
    "map75": "mAP of masks at IoU 0.75",
    "precision": "precision at IoU 0.5",
    "recall": "recall at IoU 0.5",
    "f1": "F1 at IoU 0.5",
    "relative_count_error": "number of objects off by",
}
"""The same for the scores of counted objects."""

ERROR_NAMES: Mapping[str, str] = {
    "classification": "right place, wrong class",
    "localisation": "right class, wrong place (IoU 0.1 to 0.5)",
    "both": "wrong class and wrong place",
    "duplicate": "a second box on one object",
    "background": "nothing there",
    "missed": "missed objects",
    "false_positives": "all wrong boxes",
    "false_negatives": "all objects not found",
}
"""Kind of detection error -> its words for people."""


@dataclass(frozen=True, slots=True)
class Case:
    """One image in a report.

    Args:
        id: the sample's name.
        target: the truth about the image; None where it is not known.
        prediction: what the model said; one of the two values or the heat map has an image source.
        heatmap: why it said so, or None.
        note: a line for people, such as "loss 4.21".
    """

    id: str
    target: Value | None
    prediction: Value
    heatmap: Heatmap | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReportContent:
    """Everything that the report of a run shows; empty parts are left out.

    Args:
        title: such as "digits-lenet5".
        task: the name of its card in ``visus.structures.task_cards``.
        metrics: from split to scores as metrics.json has them: fractions, ``confusion``, ``per_class``, ``curves``.
        results: the rows of results.csv.
        classes: names in the order of their ids.
        intro: a sentence under the title.
        subject: what was trained, name to value: model, edition, weights, parameters, data ...
        primary: the score that matters most, such as "accuracy"; "" for the first.
        recipe: (field, value, description), or (field, type, value, description) as ``Recipe.fields`` has them.
        findings: of the data, each a ``Finding.to_dict()``.
        env: as env.json has it.
        command: that was typed.
        cases: samples, truth beside prediction.
        mistakes: the worst of them, worst first.
        pruning: the points of a pruning, the unpruned network first; see :mod:`visus.report.pruning`.
    """

    title: str
    task: str
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    results: Sequence[Mapping[str, Any]] = ()
    classes: Sequence[str] = ()
    intro: str = ""
    subject: Mapping[str, Any] = field(default_factory=dict)
    primary: str = ""
    recipe: Sequence[Sequence[Any]] = ()
    findings: Sequence[Mapping[str, Any]] = ()
    env: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    cases: Sequence[Case] = ()
    mistakes: Sequence[Case] = ()
    pruning: Sequence[Mapping[str, Any]] = ()

    @property
    def judged(self) -> str:
        """The split whose scores count: test, else val, else the first; "" when nothing was scored."""
        return next((name for name in ("test", "val", *self.metrics) if name in self.metrics), "")

    @property
    def judged_metrics(self) -> Mapping[str, Any]:
        """The scores of that split."""
        return self.metrics.get(self.judged, {})


def metric_name(key: str) -> str:
    """A score's name for people."""
    return METRIC_NAMES.get(key, key.replace("_", " "))


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The scores that are one fraction each; losses, tables and those that the images do not allow are left out."""
    return {
        key: float(value)
        for key, value in metrics.items()
        if isinstance(value, float | int) and not isinstance(value, bool) and "loss" not in key and 0 <= value <= 1
    }


def headline_scores(content: ReportContent, most: int) -> dict[str, float]:
    """The few scores that say most, the primary one first."""
    scores = scalars(content.judged_metrics)
    order = [content.primary, *METRIC_NAMES]
    keys = sorted(scores, key=lambda key: order.index(key) if key in order else len(order))
    return {key: scores[key] for key in keys[:most]}


def class_rows(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """From class to its scores, whether ``per_class`` is a table of rows with "class", or a mapping."""
    table = metrics.get("per_class") or {}
    if isinstance(table, Mapping):
        return {
            str(name): dict(scores) if isinstance(scores, Mapping) else {"score": scores}
            for name, scores in table.items()
        }
    return {str(row["class"]): {key: value for key, value in row.items() if key != "class"} for row in table}


def recall_curves(metrics: Mapping[str, Any]) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """From class to (recalls, precisions), of the classes that have a curve."""
    curves = metrics.get("curves") or {}
    precisions = curves.get("precision", {})
    return {name: (curves["recall"], values) for name, values in precisions.items() if values is not None}


def leading_class_score(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The name of the score by which classes are compared; "" if no class has one."""
    preferred = ("mask_ap50", "ap50", "average_precision", "iou", "recall", "accuracy")
    keys = [key for row in rows.values() for key, value in row.items() if isinstance(value, float)]
    return next((key for key in preferred if key in keys), keys[0] if keys else "")


def figures(content: ReportContent) -> dict[str, Figure]:
    """Every plot that the content allows: loss, scores, learning_rate, confusion, cooccurrence, precision_recall,
    classes, pruning."""
    metrics = content.judged_metrics
    rows = class_rows(metrics)
    key = leading_class_score(rows)
    candidates = {
        "loss": plots.loss_curves(content.results),
        "scores": plots.metric_curves(content.results),
        "learning_rate": plots.learning_rate_curve(content.results),
        "confusion": plots.confusion_matrix(metrics["confusion"], content.classes)
        if metrics.get("confusion")
        else None,
        "cooccurrence": plots.cooccurrence(metrics["cooccurrence"], content.classes)
        if metrics.get("cooccurrence")
        else None,
        "precision_recall": plots.precision_recall(recall_curves(metrics)),
        "classes": plots.class_bars({name: row.get(key) for name, row in rows.items()}, metric_name(key)),
        "pruning": pruning_curve(content.pruning, metric_name(content.primary)),
    }
    return {name: figure for name, figure in candidates.items() if figure is not None}
