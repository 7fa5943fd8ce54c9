"""Makes the dense layers of a trained model smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visus.workflow.model import Model
    from visus.workflow.truncation import TruncatedLayer


@dataclass(frozen=True, slots=True)
class Compression:
    """A compressed model.

    Args:
        file: the model file that was written.
        parameters: how many trained values it has.
        full_parameters: how many the whole model has.
        layers: what became of each layer.
    """

    file: Path
    parameters: int
    full_parameters: int
    layers: tuple[TruncatedLayer, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "file": str(self.file)}

    def __str__(self) -> str:
        return "\n".join(
            [
                *map(str, self.layers),
                f"{self.file}: {self.parameters:,} parameters in place of {self.full_parameters:,}",
            ]
        )


def compress(model: str | Path | Model, file: str | Path, ranks: Mapping[str, int]) -> Compression:
    """Writes a model file whose dense layers keep only their largest singular values.

    Truncated singular value decomposition (Girshick, Fast R-CNN, ICCV 2015, section 3.1) makes two thin layers of a
    dense one. The paper has 1024 and 256 values of fc6 and fc7 of VGG-16, for 0.3 points of mAP and 30 % of the time.
    Evaluate the compressed model: its card states no figures.

    Args:
        model: a run folder, a model file, a released file of weights, or a loaded model.
        file: to be written, ending in .safetensors; or a folder, for ``model.safetensors`` in it.
        ranks: how many singular values are left of each layer, such as {"fc6": 1024, "fc7": 256}.

    Raises:
        UsageError: if the model has no such layers, no rank is given, or the file has another ending.
        RecipeError: if there is no dense layer of a name, or it has no such rank.
        WeightsError: if the model cannot be loaded.
        DiskError: if the file cannot be written.
    """
    from visus.engine.model_file import save_as
    from visus.errors import UsageError
    from visus.workflow.loading import load_model
    from visus.workflow.truncation import truncate

    if not ranks:
        raise UsageError("no layer is named", expected="layers with ranks, such as fc6=1024 and fc7=256", got="none")
    loaded = load_model(model) if isinstance(model, str | Path) else model
    small = truncate(loaded.network, loaded.info, ranks)
    written = save_as(Path(file), small.network, small.info)
    counts = [sum(p.numel() for p in network.parameters()) for network in (small.network, loaded.network)]
    return Compression(written, counts[0], counts[1], small.layers)
