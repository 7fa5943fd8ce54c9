"""The values that travel through visus: frozen, checked when made, numpy inside."""

from visus.structures.batch import Batch
from visus.structures.detections import Detections
from visus.structures.heatmap import Heatmap
from visus.structures.label import Label
from visus.structures.landmarks import Landmarks
from visus.structures.multilabel import MultiLabelMap
from visus.structures.placement import Placement
from visus.structures.preprocessing import Preprocessing, ValueRange
from visus.structures.sample import ImageSource, Sample, Target, TargetSource
from visus.structures.segmentation import IGNORE, SegmentationMap

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
