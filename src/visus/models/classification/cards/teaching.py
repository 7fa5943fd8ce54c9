"""The cards of the small networks that books and courses teach with. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.structures.preprocessing import Preprocessing

_KERAS = Conventions(
    padding="none",
    initialisation="Glorot and Bengio's, Keras's default",
)

_GREY_28 = Preprocessing(size=(28, 28), fit="stretch", channels=1, mean=(0.0,), std=(1.0,))
_CHOLLET = "Chollet: Deep Learning with Python, Manning 2017"

CARDS: tuple[Card, ...] = (
    Card(
        name="mnist_cnn",
        edition="paper",
        task="classification",
        builder="visus.models.classification.mnist_networks:mnist_cnn",
        title="Small CNN for 28x28 images (Chollet)",
        year=2017,
        paper=f"{_CHOLLET}, listings 5.1 and 5.2",
        input=(1, 28, 28),
        classes=10,
        parameters=93_322,
        macs=2_794_240,
        preprocessing=_GREY_28,
        fact="keras_mnist_cnn",
        citation="chollet2017deep",
        conventions=_KERAS,
        proof_level="L2",
    ),
    Card(
        name="mnist_cnn_25_50",
        edition="paper",
        task="classification",
        builder="visus.models.classification.mnist_networks:mnist_cnn_25_50",
        title="Small CNN of 25 and 50 maps for 28x28 images (Lee)",
        year=2016,
        paper="Hung-yi Lee: Deep learning tutorial, slide 'CNN in Keras'",
        input=(1, 28, 28),
        classes=10,
        parameters=137_660,
        macs=1_639_350,
        preprocessing=_GREY_28,
        fact="keras_25_50_cnn",
        citation="lee2016tutorial",
        conventions=_KERAS,
        proof_level="L2",
        note="The slide prints no activation after the convolutions; ReLU is used, as in its dense layer.",
    ),
    Card(
        name="mnist_dense",
        edition="paper",
        task="classification",
        builder="visus.models.classification.mnist_networks:mnist_dense",
        title="Dense baseline for 28x28 images (Chollet)",
        year=2017,
        paper=f"{_CHOLLET}, listing 2.2",
        input=(1, 28, 28),
        classes=10,
        parameters=407_050,
        macs=406_528,
        preprocessing=_GREY_28,
        fact="keras_mnist_dense",
        citation="chollet2017deep",
        conventions=_KERAS,
        proof_level="L2",
    ),
    Card(
        name="cats_dogs_cnn",
        edition="paper",
        task="classification",
        builder="visus.models.classification.cats_dogs_cnn:cats_dogs_cnn",
        title="CNN for 150x150 photos of cats and dogs (Chollet)",
        year=2017,
        paper=f"{_CHOLLET}, listings 5.5 and 5.13",
        input=(3, 150, 150),
        classes=2,
        parameters=3_453_121,
        macs=236_095_488,
        preprocessing=Preprocessing(size=(150, 150), fit="stretch", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        fact="keras_cats_dogs_cnn",
        citation="chollet2017deep",
        conventions=_KERAS,
        proof_level="L2",
        note="One sigmoid output for two classes, as published; any other number of classes gets a softmax.",
    ),
)
