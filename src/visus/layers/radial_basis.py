"""Euclidean radial basis function units."""

from __future__ import annotations

from torch import Tensor, nn

from visus.errors import ShapeError


class EuclideanRBF(nn.Module):
    """The squared Euclidean distance of the input to each of K fixed centres.

    [N,D] -> [N,K], every value >= 0; small means alike. LeCun et al. 1998, eq. 7. No trainable value.

    Args:
        centres: [K,D].

    Raises:
        ShapeError: if ``centres`` is no matrix.
    """

    centres: Tensor

    def __init__(self, centres: Tensor) -> None:
        super().__init__()
        if centres.ndim != 2:
            raise ShapeError(
                "the centres of RBF units have the wrong shape", expected="[K,D]", got=str(list(centres.shape))
            )
        self.register_buffer("centres", centres)

    def forward(self, x: Tensor) -> Tensor:
        difference = x[:, None, :] - self.centres  # [N, K, D]
        return difference.square().sum(-1)  # [N, K]

    def extra_repr(self) -> str:
        count, dimension = self.centres.shape
        return f"{dimension}, {count}"
