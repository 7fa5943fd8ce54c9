"""The values that travel through visus: frozen, checked when made, numpy inside."""

from visus.structures.batch import Batch
from visus.structures.placement import Placement
from visus.structures.preprocessing import Preprocessing, ValueRange
from visus.structures.sample import ImageSource, Sample, Target, TargetSource
from visus.structures.values.detections import Detections
from visus.structures.values.heatmap import Heatmap
from visus.structures.values.label import Label
from visus.structures.values.landmarks import Landmarks
from visus.structures.values.multilabel import MultiLabelMap
from visus.structures.values.segmentation import IGNORE, SegmentationMap

__all__ = [
    "IGNORE",
    "Batch",
    "Detections",
    "Heatmap",
    "ImageSource",
    "Label",
    "Landmarks",
    "MultiLabelMap",
    "Placement",
    "Preprocessing",
    "Sample",
    "SegmentationMap",
    "Target",
    "TargetSource",
    "ValueRange",
]
