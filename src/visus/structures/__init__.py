"""The values that travel through visus: frozen, checked when made, numpy inside."""

from visus.structures.batch import Batch
from visus.structures.image_source import ImageSource
from visus.structures.masks import Masks
from visus.structures.move import Border, Move
from visus.structures.placement import Placement
from visus.structures.preprocessing import Preprocessing, ProposalSettings, ValueRange
from visus.structures.proposals import Proposals, ProposalSource
from visus.structures.sample import Sample, TargetSource
from visus.structures.target_state import TargetState
from visus.structures.value import VALUES, Value
from visus.structures.values.detections import Detections
from visus.structures.values.heatmap import Heatmap
from visus.structures.values.label import Label
from visus.structures.values.label_set import LabelSet
from visus.structures.values.landmarks import Landmarks
from visus.structures.values.multilabel import MultiLabelMap
from visus.structures.values.segmentation import IGNORE, SegmentationMap

__all__ = [
    "IGNORE",
    "VALUES",
    "Batch",
    "Border",
    "Detections",
    "Heatmap",
    "ImageSource",
    "Label",
    "LabelSet",
    "Landmarks",
    "Masks",
    "Move",
    "MultiLabelMap",
    "Placement",
    "Preprocessing",
    "ProposalSettings",
    "ProposalSource",
    "Proposals",
    "Sample",
    "SegmentationMap",
    "TargetSource",
    "TargetState",
    "Value",
    "ValueRange",
]
