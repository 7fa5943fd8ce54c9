"""Choices inside a task's loss, as data that loads no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class LossOptions(BaseModel):
    """Choices inside the loss; each belongs to one task and is refused by the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label_smoothing: Share = Field(0.0, description="classification: probability taken from the true class")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="classification, segmentation: weight classes by inverse frequency"
    )
    dice: NonNegative = Field(0.0, description="segmentation: weight of the Dice term beside cross-entropy")
    border_weight: NonNegative = Field(0.0, description="segmentation: w0 of U-Net's border weights (paper: 10)")
    border_sigma: Positive = Field(5.0, description="segmentation: sigma in pixels of U-Net's border weights")
