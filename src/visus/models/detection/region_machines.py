"""What R-CNN and SPP-net fit to the features of regions: a linear SVM and a ridge regression of boxes for each class.

Girshick, Donahue, Darrell, Malik, CVPR 2014, section 2.3 and appendices B and C; constants that the paper does not
print are those of the authors' release (rbgirshick/rcnn, rcnn_train.m and rcnn_train_bbox_regressor.m). Loads no torch.

Letters: R regions, D values of a feature, K classes, P positive and Q negative examples of a class.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

HARD = -1.0001
"""Negatives above this margin join the examples, as in the release."""
EASY = -1.2
"""Negatives below this margin leave them when the SVM has been fitted again."""
ABSENT = -100.0
"""The margin of a class without an example: whatever is seen, it is not that."""

Progress = Callable[[], None]


@dataclass(frozen=True, slots=True)
class SVMRules:
    """How the SVMs are fitted.

    Args:
        c: liblinear's C, the weight of the examples' losses.
        positive_weight: the weight of positive examples, to that of negative ones.
        bias: the constant feature whose weight, times it, is the bias; the larger, the less the bias is penalised.
        negative_overlap: regions that overlap each object of a class by less are its negatives.
        mean_norm: features are scaled so that their mean norm is this.
        refit: so many new negatives of a class make it be fitted again.
        tolerance: liblinear's, at which its solver stops.
    """

    c: float = 0.001
    positive_weight: float = 2.0
    bias: float = 10.0
    negative_overlap: float = 0.3
    mean_norm: float = 20.0
    refit: int = 2000
    tolerance: float = 1e-3


@dataclass(frozen=True, slots=True)
class RegionExamples:
    """The regions of one image.

    Args:
        features: [R,D], as the network gives them.
        overlaps: [R,K]: with the object of each class that overlaps most.
        objects: [R] int64: the class of regions that are objects' own boxes, -1 for the others.
    """

    features: NDArray[np.floating]
    overlaps: Array
    objects: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LinearMachines:
    """Fitted SVMs: ``margins = features @ weight.T + bias``, of features as the network gives them.

    Args:
        weight: [K,D].
        bias: [K]; that of a class without an example is ``ABSENT``.
        positives, negatives: K numbers: of all positive examples, and of the negative ones of the last fit.
    """

    weight: Array
    bias: Array
    positives: tuple[int, ...] = ()
    negatives: tuple[int, ...] = ()


@dataclass(slots=True)
class _Examples:
    """The examples of one class, scaled; the negative ones stay only while they are hard.

    Args:
        positive: [P,D].
        negative: [Q,D] in parts, so that adding copies nothing.
        added: of the negative ones, since the last fit.
    """

    positive: Array
    negative: list[Array] = field(default_factory=list)
    added: int = 0


def feature_scale(features: Iterable[NDArray[np.floating]], mean_norm: float) -> float:
    """The factor that gives features [R,D] of images the mean norm ``mean_norm``; 1 where all are 0, or there are none.

    The release takes 200 regions of each of 200 images; here all count.
    """
    total, count = 0.0, 0
    for part in features:
        # float16, as the features are kept, does not hold the squares
        total += float(np.linalg.norm(np.asarray(part, np.float32), axis=1).sum(dtype=np.float64))
        count += len(part)
    mean = total / max(count, 1)
    return mean_norm / mean if mean > 0 else 1.0


def fit_machines(
    images: Sequence[RegionExamples], scale: float, classes: int, rules: SVMRules, progress: Progress | None = None
) -> LinearMachines:
    """Fits an SVM a class, in one pass over the images for hard negatives.

    Positive are the objects' own boxes. Negative are all regions of the first image; then those of further images that
    an SVM does not put surely on the other side. A class is fitted again whenever enough new ones have come, and at the
    end; each time the easy ones are dropped.

    Args:
        images: in order; they are run through twice, so that only the examples are in memory.
        scale: of the features, see :func:`feature_scale`.
        classes: K.
        rules: see :class:`SVMRules`.
        progress: called after each image.
    """
    examples, width = _positives(images, scale, classes)
    weight, bias = np.zeros((classes, width), np.float32), np.full(classes, ABSENT, np.float32)
    negatives = [0] * classes
    fitted = np.zeros(classes, bool)
    for image in images:
        features = _scaled(image.features, scale)
        hard = ~fitted | (features @ weight.T + bias > HARD)  # [R, K]; all are, of what is not fitted yet
        hard &= image.overlaps < rules.negative_overlap
        for k, own in enumerate(examples):
            rows = np.flatnonzero(hard[:, k])
            if not (len(own.positive) and len(rows)):
                continue
            own.negative.append(features[rows])
            own.added += len(rows)
            if own.added > rules.refit or not fitted[k]:
                weight[k], bias[k], negatives[k] = _fit(own, rules)
                fitted[k] = True
        if progress is not None:
            progress()
    for k, own in enumerate(examples):
        if own.added:
            weight[k], bias[k], negatives[k] = _fit(own, rules)
        elif len(own.positive) and not fitted[k]:
            bias[k] = 1.0  # every region shows it
    positives = tuple(len(own.positive) for own in examples)
    return LinearMachines(weight * np.float32(scale), bias, positives, tuple(negatives))


def _positives(images: Sequence[RegionExamples], scale: float, classes: int) -> tuple[list[_Examples], int]:
    """The positive examples of each class, and D."""
    parts: list[list[Array]] = [[] for _ in range(classes)]
    width = 0
    for image in images:
        width = image.features.shape[1]
        for k in np.unique(image.objects[image.objects >= 0]).tolist():
            parts[k].append(_scaled(image.features[image.objects == k], scale))
    empty = np.zeros((0, width), np.float32)
    return [_Examples(np.concatenate([empty, *part])) for part in parts], width


def _scaled(features: NDArray[np.floating], scale: float) -> Array:
    return np.asarray(features, np.float32) * np.float32(scale)


def _fit(own: _Examples, rules: SVMRules) -> tuple[Array, float, int]:
    """The weights [D], the bias and the number of negatives; drops the easy ones.

    liblinear's solver 3, as in the release: the L1 loss, and a penalty of the weights with that of the bias feature.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    negative = np.concatenate(own.negative)
    count = len(negative)
    machine = LinearSVC(
        C=rules.c,
        loss="hinge",
        dual=True,
        class_weight={1: rules.positive_weight},
        intercept_scaling=rules.bias,
        tol=rules.tolerance,
        max_iter=10_000,
        random_state=0,
    )
    with warnings.catch_warnings():
        # a solver that stops a little early moves margins in the third digit, of which nobody can make anything
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(np.concatenate([own.positive, negative]), np.repeat([1, 0], [len(own.positive), count]))
    weight, bias = machine.coef_[0].astype(np.float32), float(machine.intercept_[0])
    own.negative, own.added = [negative[negative @ weight + bias >= EASY]], 0
    return weight, bias, count


@dataclass(frozen=True, slots=True)
class BoxRules:
    """How the boxes' regressions are fitted.

    Args:
        penalty: of the squared weights, the paper's lambda.
        overlap: of a region with the object that it is to learn, above which it does.
        mean_norm: features are scaled so that their mean norm is this.
    """

    penalty: float = 1000.0
    overlap: float = 0.6
    mean_norm: float = 20.0


@dataclass(frozen=True, slots=True)
class BoxRegressions:
    """Fitted regressions: ``offsets = features @ weight.T + bias``, of features as the network gives them.

    Args:
        weight: [K,4,D]; of a class without an example 0, so that its boxes stay where they are.
        bias: [K,4].
        examples: K numbers.
    """

    weight: Array
    bias: Array
    examples: tuple[int, ...] = ()


def fit_boxes(
    features: NDArray[np.floating],
    offsets: NDArray[np.floating],
    labels: NDArray[np.int64],
    scale: float,
    classes: int,
    rules: BoxRules,
) -> BoxRegressions:
    """Fits a ridge regression a class (appendix C, equation 5).

    As in the release, the targets are centred, and a constant feature of 1 is penalised with the others. It also
    decorrelates the four targets, which changes nothing in a regression that is linear in them.

    Args:
        features: [R,D] of regions that overlap an object enough.
        offsets: [R,4]: how each region's box must move, see :class:`~visus.ops.box_coding.BoxCoding`.
        labels: [R]: the classes of these objects.
        scale: of the features, see :func:`feature_scale`.
        classes: K.
        rules: see :class:`BoxRules`.
    """
    width = features.shape[1]
    weight, bias = np.zeros((classes, 4, width), np.float32), np.zeros((classes, 4), np.float32)
    for k in range(classes):
        rows = np.flatnonzero(labels == k)
        if not len(rows):
            continue
        inputs = np.ones((len(rows), width + 1), np.float32)
        np.multiply(features[rows], np.float32(scale), out=inputs[:, :-1])
        targets = np.asarray(offsets[rows], np.float64)
        mean = targets.mean(0)
        solution = _ridge(inputs, targets - mean, rules.penalty)  # [D + 1, 4]
        weight[k] = solution[:-1].T * scale
        bias[k] = solution[-1] + mean
    return BoxRegressions(weight, bias, tuple(np.bincount(labels, minlength=classes).tolist()))


def _ridge(inputs: Array, targets: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    """argmin |inputs w - targets|^2 + penalty |w|^2: [R,D], [R,4] -> [D,4]; by whichever of R and D is smaller."""
    from scipy.linalg import solve

    rows, columns = inputs.shape
    if rows < columns:  # w = X^T (X X^T + lambda I)^-1 Y
        gram = inputs @ inputs.T
        gram[np.diag_indices(rows)] += penalty
        return np.asarray(inputs.T @ solve(gram.astype(np.float64), targets, assume_a="pos"), np.float64)
    gram = inputs.T @ inputs
    gram[np.diag_indices(columns)] += penalty
    return np.asarray(solve(gram.astype(np.float64), inputs.T @ targets, assume_a="pos"), np.float64)
