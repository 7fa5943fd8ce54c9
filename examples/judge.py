"""Judges a network of your own against the paper's: is it the same, and if not, where do they part?

Your layers may have any names and any form, and need no weights. Run: ``python examples/judge.py``.
"""

from torch import nn

import visus


def mine(pooling: type[nn.MaxPool2d] | type[nn.AvgPool2d]) -> nn.Module:
    """The small CNN of Chollet's book (listings 5.1 and 5.2), written again for 28x28 images."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), pooling(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


if __name__ == "__main__":
    print(visus.judge("mnist_cnn", mine(nn.AvgPool2d)))
    print(visus.judge("mnist_cnn", mine(nn.MaxPool2d)))
