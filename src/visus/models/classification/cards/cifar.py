"""What the cards of networks for CIFAR share. Loads no torch."""

from __future__ import annotations

from visus.structures.preprocessing import Preprocessing

CIFAR = Preprocessing(
    size=(32, 32),
    fit="stretch",
    mean=(125.3 / 255, 123.0 / 255, 113.9 / 255),
    std=(63.0 / 255, 62.1 / 255, 66.7 / 255),
)
"""Mean and deviation of CIFAR-10's channels over its training images, as fb.resnet.torch states them."""
