"""Sets which modules are in training mode during an update."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from visus.tasks.update import Update


class Modes:
    """Sets the modes of a network's modules for each update; see :class:`~visus.tasks.update.Update`.

    Args:
        network: the modes in which its modules come are remembered.
        updates: all updates of the training.
    """

    def __init__(self, network: nn.Module, updates: Sequence[Update]) -> None:
        parts = [network, *(module for update in updates for module in update.modules)]
        self._handed_over = {module: module.training for part in parts for module in part.modules()}

    def enter(self, update: Update, frozen: Sequence[nn.Module]) -> None:
        """Puts the modules of an update into training mode, and all others into the mode in which they came.

        Args:
            update: the update that runs next.
            frozen: modules that stay in eval mode in any case.
        """
        for module, training in self._handed_over.items():
            module.training = training
        for module in update.modules:
            module.train()
        for module in frozen:
            module.eval()
