"""Classification: one class for each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from visus.data.augmentation.prepared import Prepared
from visus.errors import RecipeError, ShapeError
from visus.losses.class_weights import check_frequencies
from visus.models.codecs import ClassifierCodec
from visus.structures import Batch, Label
from visus.tasks.codec_task import CodecTask, batch_of, is_labelled
from visus.tasks.codecs import LogitsCodec, codec_or_plain
from visus.tasks.options import LossOptions
from visus.tasks.scoring import ClassificationScoring
from visus.tasks.stacking import padded


class Classification(ClassificationScoring, CodecTask):
    """One class for each image, by softmax cross-entropy or by the network's own codec.

    Args:
        classes: names of the K classes.
        loss: this task has the choices ``label_smoothing`` and ``class_weights``.
        frequencies: [K] share or count of each class in the training images, for ``class_weights`` "balanced"; None:
            they are counted in every batch anew.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
        ShapeError: if the number of frequencies is not the number of classes.
    """

    choices = ("label_smoothing", "class_weights")

    def __init__(
        self, classes: tuple[str, ...], loss: LossOptions | None = None, frequencies: Sequence[float] | None = None
    ) -> None:
        super().__init__(classes, loss)
        if self._loss.class_weights == "median":
            raise RecipeError(
                "class weights by median frequency need pixels, which classification does not count",
                expected="loss.class_weights none or balanced for classification",
                got="median",
            )
        checked = None if frequencies is None else check_frequencies(frequencies, len(classes))
        self._plain: ClassifierCodec = LogitsCodec(len(classes), self._loss, checked)

    def codec(self, network: nn.Module) -> ClassifierCodec:
        """Returns the network's own codec, or the codec of plain logits.

        Raises:
            RecipeError: if the network brings a loss of its own, and the recipe makes choices in cross-entropy.
        """
        return codec_or_plain(network, self._plain, self._loss)

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """Makes a batch: images [N,C,H,W] uint8; targets ids [N] int64, or None for unlabelled images.

        Raises:
            ShapeError: if the images are not of one size.
        """
        prepared = padded(prepared)
        if not is_labelled(prepared):
            return batch_of(prepared, None)
        return batch_of(prepared, torch.tensor([cast(Label, item.target).index for item in prepared]))

    def score(self, network: nn.Module, outputs: Any, prediction: Sequence[Any]) -> Tensor:
        """Returns [N]: the logit of each predicted class, before the softmax (Selvaraju et al. 2017, section 3)."""
        logits = self.codec(network).logits(outputs)  # [N, K]
        if tuple(logits.shape) != (len(prediction), len(self.classes)):
            raise ShapeError(
                "a classifier must return one value for each image and class",
                expected=f"[{len(prediction)}, {len(self.classes)}]",
                got=str(list(logits.shape)),
            )
        class_indices = torch.tensor([cast(Label, value).index for value in prediction], device=logits.device)
        return logits.gather(1, class_indices[:, None])[:, 0]  # [N]
