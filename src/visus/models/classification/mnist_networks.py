"""Small networks for 28x28 images of the teaching books: two convolutional ones and a dense one.

- ``MnistCNN``: Chollet, Deep Learning with Python, 2017, listings 5.1 and 5.2; 93,322 trainable values.
- ``MnistDense``: the same book, listing 2.2; 407,050 trainable values.
- ``MnistCNN2550``: Hung-yi Lee's deep learning tutorial, the slide "CNN in Keras"; 137,660 trainable values.

Letters: N images, C input channels, K classes; the sizes in comments are for 28x28 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from visus.errors import ShapeError


class MnistCNN(nn.Module):
    """Three convolutions with max pooling between them, then two dense layers. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        size: (H, W); the first dense layer's width follows from it.

    Raises:
        ShapeError: if ``size`` leaves no pixel for the dense layers.
    """

    channels: Mapping[int, int] = {1: 32, 2: 64, 4: 64}
    head: tuple[str, ...] = ("dense_2",)
    classifier_modules: tuple[str, ...] = ("dense_1", "dense_2")

    def __init__(self, *, classes: int, in_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.conv_1 = nn.Conv2d(in_channels, 32, 3)
        self.conv_2 = nn.Conv2d(32, 64, 3)
        self.conv_3 = nn.Conv2d(64, 64, 3)
        height, width = (pooled(pooled(n)) - 2 for n in size)
        check_rest(size, (height, width), smallest=18)
        self.dense_1 = nn.Linear(64 * height * width, 64)
        self.dense_2 = nn.Linear(64, classes)
        self.pool_1 = nn.MaxPool2d(2)
        self.pool_2 = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        initialise_as_keras(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size("MNIST CNN", images, self.size)
        c1 = self.relu(self.conv_1(images))  # [N, 32, 26, 26]
        c2 = self.relu(self.conv_2(self.pool_1(c1)))  # [N, 64, 11, 11]
        c3 = self.relu(self.conv_3(self.pool_2(c2)))  # [N, 64, 3, 3]
        return {1: c1, 2: c2, 4: c3}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = features[4].flatten(1)  # [N, 576]
        x = self.relu(self.dense_1(x))  # [N, 64]
        return self.dense_2(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


class MnistCNN2550(nn.Module):
    """Two convolutions of 25 and 50 maps, each with max pooling, then two dense layers. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        size: (H, W); the first dense layer's width follows from it.

    Raises:
        ShapeError: if ``size`` leaves no pixel for the dense layers.
    """

    channels: Mapping[int, int] = {1: 25, 2: 50}
    head: tuple[str, ...] = ("dense_2",)
    classifier_modules: tuple[str, ...] = ("pool_2", "dense_1", "dense_2")

    def __init__(self, *, classes: int, in_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.conv_1 = nn.Conv2d(in_channels, 25, 3)
        self.conv_2 = nn.Conv2d(25, 50, 3)
        height, width = (pooled(pooled(n)) for n in size)
        check_rest(size, (height, width), smallest=10)
        self.dense_1 = nn.Linear(50 * height * width, 100)
        self.dense_2 = nn.Linear(100, classes)
        self.pool_1 = nn.MaxPool2d(2)
        self.pool_2 = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        initialise_as_keras(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size("25-50 CNN", images, self.size)
        c1 = self.relu(self.conv_1(images))  # [N, 25, 26, 26]
        c2 = self.relu(self.conv_2(self.pool_1(c1)))  # [N, 50, 11, 11]
        return {1: c1, 2: c2}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.pool_2(features[2]).flatten(1)  # [N, 1250]
        x = self.relu(self.dense_1(x))  # [N, 100]
        return self.dense_2(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


class MnistDense(nn.Module):
    """One hidden layer of 512 units over all pixels. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        size: (H, W).
    """

    head: tuple[str, ...] = ("dense_2",)

    def __init__(self, *, classes: int, in_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.dense_1 = nn.Linear(in_channels * size[0] * size[1], 512)
        self.dense_2 = nn.Linear(512, classes)
        self.relu = nn.ReLU()
        initialise_as_keras(self)

    def forward(self, images: Tensor) -> Tensor:
        check_size("MNIST dense network", images, self.size)
        x = self.relu(self.dense_1(images.flatten(1)))  # [N, 512]
        return self.dense_2(x)  # [N, K]


def pooled(size: int) -> int:
    """The length of a side after a 3x3 convolution without padding and a 2x2 pooling."""
    return (size - 2) // 2


def check_rest(size: tuple[int, int], rest: tuple[int, int], *, smallest: int) -> None:
    """Raises ShapeError if convolutions and poolings leave nothing of images of ``size``."""
    if min(rest) < 1:
        raise ShapeError(
            "images of this size are too small for the convolutions and poolings",
            expected=f"at least {smallest}x{smallest}",
            got=f"{size[0]}x{size[1]}",
            remedy="choose a larger size",
        )


def check_size(name: str, images: Tensor, size: tuple[int, int]) -> None:
    """Raises ShapeError unless ``images`` [N,C,H,W] have the size that the dense layers were built for."""
    height, width = images.shape[-2:]
    if (height, width) != size:
        raise ShapeError(
            f"the dense layers of this {name} were built for another image size",
            expected=f"{size[0]}x{size[1]}",
            got=f"{height}x{width}",
            remedy=f"resize the images to {size[0]}x{size[1]}, or build the network with size=({height}, {width})",
        )


def initialise_as_keras(network: nn.Module) -> None:
    """Keras's default for Conv2D and Dense: Glorot's uniform weights, biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def mnist_cnn(*, classes: int, in_channels: int, size: tuple[int, int] = (28, 28)) -> nn.Module:
    """Chollet's CNN for MNIST. ``size``: (height, width) of the images."""
    return MnistCNN(classes=classes, in_channels=in_channels, size=size)


def mnist_cnn_25_50(*, classes: int, in_channels: int, size: tuple[int, int] = (28, 28)) -> nn.Module:
    """Lee's CNN for MNIST. ``size``: (height, width) of the images."""
    return MnistCNN2550(classes=classes, in_channels=in_channels, size=size)


def mnist_dense(*, classes: int, in_channels: int, size: tuple[int, int] = (28, 28)) -> nn.Module:
    """Chollet's dense network for MNIST. ``size``: (height, width) of the images."""
    return MnistDense(classes=classes, in_channels=in_channels, size=size)
