"""Chooses the model and the recipe for a user's data set, from a few facts about it."""

from __future__ import annotations

from dataclasses import replace

from visus.data.pixels.intensity import PixelValues
from visus.engine.recipe import Recipe
from visus.errors import RecipeError, TaskMismatchError
from visus.models.card import Card
from visus.recipes.own_data import DataFacts, own_data_recipe
from visus.structures import Preprocessing
from visus.structures.task_cards import task_card


def choose_model(task: str, facts: DataFacts) -> tuple[str, str]:
    """Chooses (model, backbone) for a user's data; the backbone is "" if the model needs none.

    Raises:
        TaskMismatchError: if the task is unknown, or its card names no default model.
    """
    card = task_card(task)
    if card.model_task == "classification" and facts.small:
        return "mnist_cnn", ""
    if not card.default_model:
        raise TaskMismatchError(
            f"{task} has no default model",
            expected="the name of a model",
            got="none",
            remedy=f"choose one with --model; visus models --task {task} lists them",
        )
    return card.default_model, card.default_backbone


def own_anchors(card: Card, classes: int, *, pretrained: bool) -> int:
    """The number of anchors to find among a user's boxes; 0 without anchors, or if the weights have published ones.

    A head starts from published weights only where a whole network does, for as many classes.
    """
    if pretrained and not card.backbone and classes == card.classes:
        return 0
    return card.own_anchors


def choose_recipe(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """Chooses the default recipe of a model for a user's data.

    Args:
        card: the model.
        facts: the data.
        pretrained: whether the network, or its backbone, starts from published weights.

    Raises:
        RecipeError: if the card names no recipe that there is.
    """
    recipe = own_data_recipe(card)(card, facts, pretrained=pretrained)
    if facts.channels not in (1, 3):  # what is no picture has no colours to be changed
        recipe = recipe.with_changes({"augmentation.saturation": 0.0, "augmentation.hue": 0.0})
    return recipe


def training_preprocessing(
    card: Card, recipe: Recipe, channels: int, values: PixelValues | None = None
) -> Preprocessing:
    """The preprocessing of training images: the card's, with the recipe's size and fit, for any channels.

    Args:
        card: of the model.
        recipe: its size, its fit and its number of proposals, if it has any.
        channels: of the network's input.
        values: what the images hold: their range, and for other than 1 or 3 channels their mean and deviation, which no
            card can know. None: pictures of 8 bits.

    Raises:
        RecipeError: if the recipe sets the number of proposals of a network that is given none.
    """
    preprocessing = card.preprocessing
    if recipe.size is not None:
        preprocessing = replace(preprocessing, size=recipe.size)
    if recipe.fit is not None:
        preprocessing = replace(
            preprocessing, fit=recipe.fit, size=None if recipe.fit == "none" else preprocessing.size
        )
    if recipe.proposals is not None:
        if preprocessing.proposals is None:
            raise RecipeError(
                f"{card.full_name} is given no region proposals",
                expected="proposals set for a network that makes none of its own, such as fast_rcnn",
                got=f"proposals={recipe.proposals}",
                remedy="leave it out; --set model_options.proposals=N is for what a network proposes itself",
            )
        preprocessing = replace(preprocessing, proposals=replace(preprocessing.proposals, count=recipe.proposals))
    if values is not None and values.value_range is not None:
        preprocessing = replace(preprocessing, value_range=values.value_range)
    if channels not in (1, 3):
        seen = values or PixelValues(channels)
        return replace(
            preprocessing,
            channels=channels,
            order="RGB",
            scale=255.0,
            mean=seen.mean or (0.5,) * channels,
            std=seen.std or (0.25,) * channels,
        )
    if channels != preprocessing.channels:
        preprocessing = replace(
            preprocessing,
            channels=channels,
            mean=(preprocessing.mean * 3)[:channels],
            std=(preprocessing.std * 3)[:channels],
        )
    return preprocessing


def prediction_preprocessing(training: Preprocessing, recipe: Recipe) -> Preprocessing:
    """The preprocessing of images at prediction.

    A network trained on windows at the file's own resolution (``random_crop``) sees whole files, unscaled; not so where
    the files are scaled to one shorter side first.
    """
    augmentation = recipe.augmentation
    windows = augmentation.random_crop and augmentation.short_side is None
    if windows and training.size is not None and recipe.size is not None:
        return replace(training, size=None, fit="none")
    return training
