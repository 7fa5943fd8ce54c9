"""The recipes of papers and books, as printed there; ``--recipe`` chooses one by name.

A recipe whose data or hardware was not at hand has not been run here; its ``source`` says where it is printed, and what
is not printed there. Papers that count steps have them here as epochs of the paper's own data: 1,281,167 training
images of ImageNet, 45,000 of CIFAR-10 where a paper holds 5,000 back.

Every recipe trains any network of its task; one that names layers (``optimizer.rates``, ``max_norms``) those that have
them. The rates of papers whose several processes do not wait for one another are
stated for one process's batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.engine.recipe import Recipe
from visus.recipes import (
    dense_prediction,
    inception,
    mobile,
    plain_networks,
    region_svms,
    residual,
    searched,
    small_images,
    teaching,
)

PUBLISHED: Mapping[str, Recipe] = MappingProxyType(
    {
        **teaching.RECIPES,
        **plain_networks.RECIPES,
        **small_images.RECIPES,
        **inception.RECIPES,
        **residual.RECIPES,
        **searched.RECIPES,
        **mobile.RECIPES,
        **dense_prediction.RECIPES,
        **region_svms.RECIPES,
    }
)
"""Name -> recipe."""
