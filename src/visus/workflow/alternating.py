"""The phases of alternating training that train nothing: Ren et al., Faster R-CNN, arXiv:1506.01497, section 3.2.

Between steps 1 and 2 the region proposal network makes the proposals of all images, which the second stage is trained
on. Without the steps that make both stages share their convolutions, the networks of the two steps are joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from visus.data.augmentation.preparing import Prepared, Preparer
from visus.data.proposals.array_file import write_arrays
from visus.engine.device_batches import to_device
from visus.engine.model_file import load_state, put_state
from visus.engine.predict import predict
from visus.engine.progress import Progress, choose_progress
from visus.engine.run_folder import RunFolder
from visus.errors import TaskMismatchError
from visus.metrics.proposal_recall import ProposalMetric
from visus.models.detection.region_proposals import ProposalRules, ProposingCodec, ProposingDetector, proposals_of
from visus.structures import Batch, Proposals, Sample
from visus.tasks.task import Task
from visus.workflow.loading import load_model
from visus.workflow.model import Model
from visus.workflow.phases import Artefact, Context
from visus.workflow.plan import Plan, prepare_again
from visus.workflow.run_training import assemble
from visus.workflow.training_phases import MODEL, PROPOSALS

FILE = "proposals.npz"
