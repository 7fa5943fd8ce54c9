"""The table of the experiments by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.experiments import activations, batchnorm, degradation, digits, shortcuts
from visus.experiments.experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {module.EXPERIMENT.name: module.EXPERIMENT for module in (degradation, shortcuts, batchnorm, digits, activations)}
)
"""Name -> experiment."""
