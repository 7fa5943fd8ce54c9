"""The options of the losses, as data. Loads no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from visus.errors import RecipeError

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class LossOptions(BaseModel):
    """Options of the loss; each belongs to some tasks, and the others refuse it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    label_smoothing: Share = Field(0.0, description="classification: probability taken from the true class")
    class_weights: Literal["none", "balanced", "median"] = Field(
        "none",
        description="weight classes by inverse frequency (balanced; multi-label classification: images with a class as "
        "much as those without); segmentation: or by median frequency (median)",
    )
    focal: NonNegative = Field(0.0, description="segmentation: gamma of the focal loss (its paper: 2); 0: none")
    reduction: Literal["mean", "sum"] = Field(
        "mean",
        description="segmentation: an image's loss is the mean or (FCN's released networks) the sum of its pixels",
    )
    dice: NonNegative = Field(
        0.0, description="segmentation, also multi-label: weight of the Dice term beside cross-entropy"
    )
    marked: Literal["neutral", "learned", "background"] = Field(
        "neutral",
        description="detection: objects that are marked as difficult or crowds are neither hit nor miss in training; "
        "learned like all others (SSD on VOC); or background (Darknet leaves them out)",
    )
    border_weight: NonNegative = Field(0.0, description="segmentation: w0 of U-Net's border weights (paper: 10)")
    border_sigma: Positive = Field(5.0, description="segmentation: sigma in pixels of U-Net's border weights")

    def changed(self) -> list[str]:
        """Returns the names of the options that differ from their defaults."""
        defaults = LossOptions()
        return [name for name in type(self).model_fields if getattr(self, name) != getattr(defaults, name)]

    def require_only(self, task: str, allowed: tuple[str, ...]) -> None:
        """Raises RecipeError if an option that does not belong to the task differs from its default.

        Args:
            task: the name of the task.
            allowed: the options that belong to the task.
        """
        for name in self.changed():
            if name not in allowed:
                raise RecipeError(
                    f"{task} has no loss.{name}",
                    expected=f"loss.{name} left at {getattr(LossOptions(), name)}",
                    got=f"{getattr(self, name)}",
                )
