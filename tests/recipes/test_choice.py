"""The choices for own data: each follows from the facts, says so, and fits its model."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import pytest

from visus.engine.recipe import Recipe
from visus.errors import RecipeError
from visus.models.building import known_options, load_builder, validate_options
from visus.models.card import Card
from visus.models.catalog import CARDS, find
from visus.recipes.choice import (
    choose_model,
    choose_recipe,
    prediction_preprocessing,
    training_preprocessing,
)
from visus.recipes.own_data import OWN_DATA, DataFacts
from visus.recipes.published import PUBLISHED

GLYPHS = DataFacts(images=1257, classes=10, size=(8, 8), grey=True)
PHOTOS = DataFacts(images=500, classes=2, size=(375, 500), grey=False)


def test_models_follow_task_and_size() -> None:
    assert choose_model("classification", GLYPHS) == ("mnist_cnn", "")
    assert choose_model("classification", PHOTOS) == ("resnet18", "")
    assert choose_model("detection", PHOTOS) == ("yolov3", "mobilenet_v2")
    assert choose_model("segmentation", PHOTOS) == ("unet@padded", "")
    for task in ("classification", "detection", "segmentation"):
        model, backbone = choose_model(task, PHOTOS)
        assert find(f"{model}+{backbone}" if backbone else model).task == task


@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("facts", [GLYPHS, PHOTOS], ids=["glyphs", "photos"])
@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.full_name)
def test_every_model_has_a_recipe(card: object, facts: DataFacts, pretrained: bool) -> None:
    recipe = choose_recipe(card, facts, pretrained=pretrained)  # type: ignore[arg-type]
    assert recipe.source.startswith("visus default for")
    assert Recipe.from_dict(recipe.model_dump(mode="json")) == recipe
    if recipe.size is not None:  # what the two-by-two poolings of U-Net ask for
        assert all(side % 32 == 0 for side in recipe.size)


def test_a_mirrored_digit_is_no_digit() -> None:
    recipe = choose_recipe(find("lenet5"), GLYPHS, pretrained=False)
    assert recipe.augmentation.mirror == recipe.augmentation.flip == 0
    assert recipe.augmentation.rotation
    assert recipe.augmentation.shift
    assert recipe.augmentation.zoom


def test_fine_tuning_keeps_the_backbone_near_to_what_it_was() -> None:
    recipe = choose_recipe(find("resnet18@torchvision"), PHOTOS, pretrained=True)
    assert recipe.freeze == "batchnorm"
    assert recipe.optimizer.backbone_lr < 1
    scratch = choose_recipe(find("resnet18"), PHOTOS, pretrained=False)
    assert scratch.freeze == "none"
    assert scratch.optimizer.backbone_lr == 1
    assert scratch.epochs > recipe.epochs


@pytest.mark.parametrize("size", [(20, 500), (64, 64), (300, 400), (2000, 3000)])
def test_segmentation_learns_from_windows_that_fit_the_files(size: tuple[int, int]) -> None:
    card = find("unet@padded")
    recipe = choose_recipe(card, DataFacts(images=30, classes=2, size=size, grey=True), pretrained=False)
    assert recipe.size is not None
    assert 32 <= recipe.size[0] == recipe.size[1] <= 256
    training = training_preprocessing(card, recipe, 1)
    predicting = prediction_preprocessing(training, recipe)
    assert training.size == recipe.size
    assert (predicting.size, predicting.fit) == (None, "none")  # whole files, unscaled


@pytest.mark.parametrize("channels", [1, 3])
def test_preprocessing_has_the_channels_asked_for(channels: int) -> None:
    for card in CARDS:
        own = training_preprocessing(card, Recipe(), channels)
        assert own.channels == channels
        assert len(own.mean) == len(own.std) == channels
        if channels == card.preprocessing.channels:
            assert own == card.preprocessing
    changed = training_preprocessing(find("resnet18"), Recipe(size=(96, 128), fit="letterbox"), 3)
    assert (changed.size, changed.fit) == ((96, 128), "letterbox")


def test_every_detectors_own_recipe_has_options_that_it_takes() -> None:
    for name in (
        "ssd",
        "ssd512",
        "ssd+resnet18",
        "retinanet",
        "retinanet@torchvision",
        "retinanet+mobilenet_v2",
        "yolov1",
        "yolov2+resnet18",
        "yolov3_tiny",
    ):
        card = find(name)
        recipe = choose_recipe(card, PHOTOS, pretrained=False)
        validate_options(card, load_builder(card), recipe.model_options)
    assert choose_recipe(find("retinanet+resnet18"), PHOTOS, pretrained=False).model_options["match_best"]
    assert choose_recipe(find("ssd+resnet18"), PHOTOS, pretrained=False).model_options == {"scales": "coco"}
    assert choose_recipe(find("ssd"), PHOTOS, pretrained=False).model_options == {}


def test_a_new_detector_has_the_recipe_of_all_detectors_whatever_its_name() -> None:
    for name in ("faster_rcnn+resnet18", "yolo_like", "retinanet_next"):
        card = replace(find("ssd+resnet18"), name=name, own_data="")
        recipe = choose_recipe(card, PHOTOS, pretrained=True)
        assert recipe.source.startswith("visus default for detection")
        assert recipe.model_options == {}


def of_my_own(card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    return Recipe(source=f"{card.name}, {facts.images} images, {pretrained}", epochs=3)


def test_a_card_names_the_recipe_for_own_data() -> None:
    by_name = replace(find("resnet18"), own_data="yolo")
    assert "YOLO" in choose_recipe(by_name, PHOTOS, pretrained=False).source
    elsewhere = replace(find("resnet18"), own_data="own_recipes:of_my_own")
    module = ModuleType("own_recipes")
    module.of_my_own = of_my_own  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "own_recipes", module)
        assert choose_recipe(elsewhere, PHOTOS, pretrained=True).source == f"resnet18, {PHOTOS.images} images, True"
    with pytest.raises(RecipeError, match="resnet18@paper names an unknown recipe") as caught:
        choose_recipe(replace(find("resnet18"), own_data="yollo"), PHOTOS, pretrained=True)
    assert "yolo" in caught.value.expected
    assert caught.value.got == "yollo"


def test_every_card_names_a_recipe_for_own_data_that_there_is() -> None:
    for card in CARDS:
        assert not card.own_data or card.own_data in OWN_DATA
        assert bool(card.own_anchors) == (card.task == "detection" and "anchors" in known_options(card))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipes_say_where_they_are_printed(name: str) -> None:
    recipe = PUBLISHED[name]
    assert any(character.isdigit() for character in recipe.source)
    assert Recipe.from_dict(recipe.model_dump(mode="json")) == recipe


def test_published_values() -> None:
    # Liu et al. 2016, ssd_pascal.py: 120k iterations of 32 images; 16,551 images in VOC 2007+2012 trainval.
    ssd = PUBLISHED["ssd300-voc"]
    assert ssd.epochs * 16_551 / 32 == pytest.approx(120_000, rel=0.01)
    assert [milestone * 16_551 / 32 for milestone in ssd.schedule.milestones] == pytest.approx([80e3, 100e3], rel=0.01)
    assert PUBLISHED["ssd512-voc"].augmentation == ssd.augmentation
    assert (ssd.augmentation.released, ssd.augmentation.zoom_out, ssd.augmentation.zoom_out_ratio) == ("ssd", 0.5, 4)
    assert ssd.augmentation.brightness * 255 == pytest.approx(32)
    assert ssd.augmentation.hue * 180 == pytest.approx(18)
    assert ssd.loss.marked == "learned"  # train_on_diff_gt = True
    coco = PUBLISHED["ssd300-coco"]  # ssd_coco.py: 400k iterations; train_on_diff_gt = False
    assert coco.epochs * 118_287 / 32 == pytest.approx(400_000, rel=0.01)
    assert [milestone * 118_287 / 32 for milestone in coco.schedule.milestones] == pytest.approx(
        [280e3, 360e3], rel=0.01
    )
    assert (coco.loss.marked, coco.augmentation) == ("background", ssd.augmentation)
    assert ssd.optimizer.bias_lr == 2
    assert not ssd.optimizer.decay_norm_and_bias
    # Lin et al. 2017, sec. 4.1: 90k steps of 16 images of 118,287, rates at 60k and 80k.
    retina = PUBLISHED["retinanet-coco"]
    steps = 118_287 / 16
    assert retina.epochs * steps == pytest.approx(90_000, rel=0.02)
    assert [milestone * steps for milestone in retina.schedule.milestones] == pytest.approx([60e3, 80e3], rel=0.02)
    assert (retina.optimizer.lr, retina.optimizer.weight_decay) == (0.01, 1e-4)
    # Redmon et al. 2016, sec. 2.2: 75, 30 and 30 epochs; yolo-voc.2.0.cfg: 100 steps of 64 images at 1e-4; yolov3.cfg.
    first, second, third = (PUBLISHED[name] for name in ("yolov1-voc", "yolov2-voc", "yolov3-coco"))
    assert (first.epochs, first.schedule.milestones) == (75 + 30 + 30, (75, 75 + 30))
    assert (first.optimizer.lr, first.optimizer.lr * first.schedule.warmup_from) == (1e-2, pytest.approx(1e-3))
    assert (second.epochs, second.schedule.milestones, second.batch_size) == (160, (60, 90), 64)
    assert second.schedule.warmup_epochs * 16_551 / 64 == pytest.approx(100, rel=0.01)
    assert [r.augmentation.jitter for r in (first, second, third)] == [0.2, 0.2, 0.3]  # the cfgs
    assert [r.augmentation.jitter_scale for r in (first, second, third)] == [None, None, (0.25, 2)]
    assert (second.augmentation.sides_every, third.augmentation.sides_every) == (10, 10)
    released = PUBLISHED["yolov2-voc-darknet"]  # yolov2-voc.cfg: 80,200 steps, lr/10 at 40,000 and 60,000
    assert released.epochs * 16_551 / 64 == pytest.approx(80_200, rel=0.01)
    assert [milestone * 16_551 / 64 for milestone in released.schedule.milestones] == pytest.approx(
        [4e4, 6e4], rel=0.01
    )
    assert (released.schedule.warmup, released.schedule.warmup_power) == ("polynomial", 4)
    assert second.augmentation.sides == (320, 352, 384, 416, 448, 480, 512, 544, 576, 608)
    steps = 117_264 / 64
    assert third.epochs * steps == pytest.approx(500_200, rel=0.01)
    assert [milestone * steps for milestone in third.schedule.milestones] == pytest.approx([400e3, 450e3], rel=0.01)
    assert third.schedule.warmup_epochs * steps == pytest.approx(1_000, rel=0.02)
    # He et al. 2016, sec. 3.4.
    resnet = PUBLISHED["resnet-imagenet"]
    assert (resnet.optimizer.lr, resnet.optimizer.momentum, resnet.optimizer.weight_decay) == (0.1, 0.9, 1e-4)
    # Ronneberger et al. 2015, eq. 2: w0 = 10, sigma about 5 pixels.
    unet = PUBLISHED["unet-isbi"]
    assert (unet.loss.border_weight, unet.loss.border_sigma, unet.optimizer.momentum) == (10, 5, 0.99)


def test_a_number_of_proposals_is_for_networks_that_are_given_some() -> None:
    recipe = Recipe(proposals=50)
    given = training_preprocessing(find("fast_rcnn"), recipe, 3)
    assert given.proposals is not None
    assert given.proposals.count == 50
    with pytest.raises(RecipeError, match="is given no region proposals"):
        training_preprocessing(find("faster_rcnn"), recipe, 3)
