"""The published recipes: their values against the papers', and each of them at work for two steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from networks import shapeless
from visus.data.augmentation.preparing import Preparer
from visus.data.loading.loader import Loader
from visus.data.pixels.images import ArrayImage
from visus.engine.device_batches import to_device
from visus.engine.filters import NormBounds
from visus.engine.fit import fit
from visus.engine.optimizer import make_optimizer
from visus.engine.recipe import ABOUT, Recipe
from visus.engine.schedule import rate
from visus.models.building import build
from visus.models.catalog import all_cards, find
from visus.recipes import dense_prediction, regions
from visus.recipes.choice import prediction_preprocessing, training_preprocessing
from visus.recipes.families import RECIPES_OF, WITHOUT, families, recipes_of
from visus.recipes.phases import PHASES
from visus.recipes.published import PUBLISHED
from visus.recipes.sources import by_field
from visus.structures import Label, Sample
from visus.tasks.classification import Classification

CLASSIFYING = [name for name in PUBLISHED if name not in {**dense_prediction.RECIPES, **regions.RECIPES}]
CLASSES = ("a", "b")

# What the papers print, written down once more: (batch, rate, momentum, weight decay, epochs).
PRINTED = {
    "alexnet-imagenet": (128, 0.01, 0.9, 5e-4, 90),  # Krizhevsky et al. 2012, section 5
    "alexnet-caffe": (256, 0.01, 0.9, 5e-4, 90),  # solver.prototxt: 450,000 steps
    "zfnet-imagenet": (128, 0.01, 0.9, 0.0, 70),  # Zeiler and Fergus 2014, section 3
    "vgg-imagenet": (256, 0.01, 0.9, 5e-4, 74),  # Simonyan and Zisserman 2015, section 3.1
    "vgg-imagenet-384": (256, 1e-3, 0.9, 5e-4, 74),
    "prelu-imagenet": (128, 0.01, 0.9, 5e-4, 80),  # He et al. 2015, section 3
    "darknet19-imagenet": (128, 0.1, 0.9, 5e-4, 160),  # Redmon and Farhadi 2017, section 3
    "googlenet-caffe": (32, 0.01, 0.9, 2e-4, 250),  # solver.prototxt: 10,000,000 steps
    "googlenet-caffe-quick": (32, 0.01, 0.9, 2e-4, 60),  # quick_solver.prototxt: 2,400,000 steps
    "bn-inception-baseline": (32, 0.0015, 0.9, 4e-5, 150),  # Ioffe and Szegedy 2015, section 4.2
    "bn-inception-x5": (32, 0.0075, 0.9, 4e-5, 150),
    "bn-inception-x30": (32, 0.045, 0.9, 4e-5, 150),
    "inception-v3-imagenet": (32, 0.045, 0.9, 4e-5, 100),  # Szegedy et al. 2016, section 8
    "inception-v4-imagenet": (32, 0.045, 0.9, 4e-5, 160),  # Szegedy et al. 2017, section 4
    "resnet-imagenet": (256, 0.1, 0.9, 1e-4, 120),  # He et al. 2016, section 3.4: 600,000 steps
    "resnet-cifar": (128, 0.1, 0.9, 1e-4, 182),  # He et al. 2016, section 4.2: 64,000 steps
    "preact-resnet-cifar": (128, 0.1, 0.9, 1e-4, 182),
    "stochastic-depth-cifar": (128, 0.1, 0.9, 1e-4, 500),  # Huang et al. 2016, section 4
    "stochastic-depth-svhn": (128, 0.1, 0.9, 1e-4, 50),
    "mobilenet-v2-imagenet": (96, 0.045, 0.9, 4e-5, 300),  # Sandler et al. 2018, section 6.1
    # pylearn2, scripts/papers/maxout: mnist_pi.yaml, mnist.yaml (no last epoch), cifar10_no_aug.yaml, cifar10.yaml
    "maxout-mnist-dense": (100, 0.1, 0.7, 0.0, 2000),
    "maxout-mnist": (128, 0.05, 0.7, 0.0, 2000),
    "maxout-cifar": (128, 0.17, 0.6, 0.0, 785),
    "maxout-cifar-augmented": (128, 0.17, 0.65, 0.0, 474),
    "nin-cifar": (128, 0.1, 0.9, 1e-4, 240),  # NIN/cifar-10_params: coeff 0.1 of a rate of 1, wc 1e-5 = 0.1 * 1e-4
    "nin-imagenet": (64, 0.01, 0.9, 5e-4, 22),  # solver.prototxt: 450,000 steps
    "all-cnn-cifar": (128, 0.05, 0.9, 1e-3, 350),  # Springenberg et al. 2015, section 3.1
    "fitnet-cifar": (128, 0.005, 0.0, 0.0, 288),  # FitNets, yaml/cifar10_fitnet19_all.yaml
    "dsn-cifar-1": (100, 0.025, 0.9, 5e-4, 100),  # DSN, cifar-10_solver.prototxt: 50,000 steps
    "dsn-cifar-2": (100, 0.025, 0.9, 5e-4, 240),  # finetune_cifar-10_solver.prototxt: 120,000 steps
    "dsn-cifar-3": (100, 1e-4, 0.9, 5e-4, 60),  # finetune_cifar-10_solver_lr2.prototxt: 30,000 steps
    # faster_rcnn_alt_opt, stage1_rpn_solver60k80k.pt and stage1_fast_rcnn_solver30k40k.pt: 80,000 and 40,000 steps
    "faster-rcnn-voc-proposals": (1, 1e-3, 0.9, 5e-4, 16),
    "faster-rcnn-voc-regions": (2, 1e-3, 0.9, 5e-4, 16),
    "fast-rcnn-voc": (2, 1e-3, 0.9, 5e-4, 16),  # Girshick 2015, section 2.3: 40,000 steps
    "r-fcn-voc": (8, 1e-3, 0.9, 5e-4, 15),  # Dai et al. 2016, section 3: 30,000 steps
    "squeezenet-imagenet": (512, 0.04, 0.9, 2e-4, 68),  # SqueezeNet_v1.0/solver.prototxt: 170,000 steps of 32 * 16
    "xception-imagenet": (32, 0.045, 0.9, 1e-5, 100),  # Chollet 2017, sections 4.3 and 4.4
    "resnext-imagenet": (256, 0.1, 0.9, 1e-4, 100),  # ResNeXt, opts.lua and README.md
    "densenet-imagenet": (256, 0.1, 0.9, 1e-4, 90),  # DenseNet, opts.lua; section 4.2
    "densenet-cifar": (64, 0.1, 0.9, 1e-4, 300),
    "senet-imagenet": (1024, 0.6, 0.9, 1e-4, 100),  # Hu et al. 2018, section 5; the decay is not printed
    "nasnet-imagenet": (1600, 0.045, 0.9, 4e-5, 312),  # Zoph et al. 2018, appendix: 50 processes of 32
    "amoebanet-imagenet": (32, 1e-3, 0.9, 4e-5, 100),  # Real et al. 2019, methods details
    "darknet53-imagenet": (128, 0.1, 0.9, 5e-4, 80),  # darknet53.cfg: 800,000 steps
    "extraction-imagenet": (128, 0.1, 0.9, 5e-4, 160),  # extraction.cfg: 1,600,000 steps
    "efficientnet-imagenet": (4096, 0.256, 0.9, 1e-5, 350),  # Tan and Le 2019, section 5.2
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_printed_numbers(name: str) -> None:
    recipe = PUBLISHED[name]
    rule = recipe.optimizer
    batch = recipe.reference_batch_size
    assert (batch, rule.lr, rule.momentum, rule.weight_decay, recipe.epochs) == PRINTED[name]


def factors(name: str, steps: list[int], steps_an_epoch: int) -> list[float]:
    recipe = PUBLISHED[name]
    return [rate(recipe.schedule, s, steps_an_epoch=steps_an_epoch, epochs=recipe.epochs) for s in steps]


def test_steps_that_are_epochs_here_are_the_papers_steps() -> None:
    """On as many images as the paper has, the rate falls at the step that it prints (to the last of the epoch)."""
    cifar = 45_000 / 128  # 351.6 steps an epoch, of which the loader makes 352
    found = factors("resnet-cifar", [31_990, 32_050, 47_990, 48_080], 352)
    assert found == pytest.approx([1, 0.1, 0.1, 0.01])
    assert PUBLISHED["resnet-cifar"].epochs * cifar == pytest.approx(64_000, rel=1e-3)
    assert factors("resnet110-cifar", [0, 399, 401], 352) == pytest.approx([0.1, 0.1, 1])
    caffe = math.ceil(1_281_167 / 256)
    assert factors("alexnet-caffe", [99_900, 100_100, 200_100], caffe) == pytest.approx([1, 0.1, 0.01])
    google = math.ceil(1_281_167 / 32)
    assert factors("googlenet-caffe", [319_000, 321_000], google) == pytest.approx([1, 0.96])
    assert PUBLISHED["googlenet-caffe-quick"].epochs * google == pytest.approx(2_400_000, rel=2e-3)
    squeeze = 1_281_167 / 512  # iter_size 16 of 32 images
    assert PUBLISHED["squeezenet-imagenet"].epochs * squeeze == pytest.approx(170_000, rel=2e-3)
    darknet = math.ceil(1_281_167 / 128)
    assert PUBLISHED["darknet53-imagenet"].epochs * darknet == pytest.approx(800_000, rel=2e-3)
    assert PUBLISHED["extraction-imagenet"].epochs * darknet == pytest.approx(1_600_000, rel=2e-3)
    assert PUBLISHED["nasnet-imagenet"].epochs * 1_281_167 / 1600 == pytest.approx(250_000, rel=2e-3)
    # darknet19.cfg, burn_in=1000: (batch / 1000)^4, batches counted from 1
    assert factors("darknet19-imagenet", [0, 499, 999], darknet) == pytest.approx([1e-12, 0.0625, 1], rel=1e-2)
    zoo = 1_281_167 / 64
    assert PUBLISHED["nin-imagenet"].epochs * zoo == pytest.approx(450_000, rel=0.03)
    # DSN: 50,000 images in steps of 100; the rate of the second part falls to a twentieth at step 100,001
    assert factors("dsn-cifar-2", [99_999, 100_000], 500) == pytest.approx([1, 0.05])


def test_the_maxout_networks_rates_are_pylearn2s() -> None:
    """ExponentialDecay divides by its factor after each step; LinearDecayOverEpoch falls by 0.99 / 500 an epoch."""
    found = factors("maxout-mnist-dense", [500, 5000], 500)
    assert found == pytest.approx([1.000004**-500, 1.000004**-5000])
    assert factors("maxout-cifar", [0, 391 * 250, 391 * 500, 391 * 700], 391) == pytest.approx([1, 0.505, 0.01, 0.01])
    assert factors("maxout-cifar-augmented", [391 * 473], 391) == pytest.approx([1 - 0.99 * 473 / 500])


def test_an_image_of_the_papers_size_is_cropped_as_the_paper_says() -> None:
    """A photo of 500x375 as a network of 224x224 sees it: through S = 256, the window is 224 / 256 of 375."""
    card = find("resnet18")
    for name, shares in (("alexnet-imagenet", (224 / 256,) * 2), ("resnet-imagenet", (224 / 480, 224 / 256))):
        recipe = PUBLISHED[name]
        prepare = Preparer("classification", training_preprocessing(card, recipe, 3), recipe.augmentation, 0)
        scales = [1 / prepare(sample(375, 500, 0), index, 0).placement.scale[0] for index in range(40)]
        assert min(scales) * 224 / 375 >= shares[0] - 0.01
        assert max(scales) * 224 / 375 <= shares[1] + 0.01


def test_inputs_of_two_sizes_take_turns() -> None:
    """SPP-net, section 2.3: a whole epoch at 224, the next at 180, of the same 224-pixel regions."""
    recipe = PUBLISHED["spp-imagenet"]
    preprocessing = training_preprocessing(find("resnet18"), recipe, 3)
    prepare = Preparer("classification", preprocessing, recipe.augmentation, 0)
    sizes = [tuple(prepare(sample(300, 400, 0), 0, epoch).image.shape[1:]) for epoch in range(3)]
    assert sizes == [(224, 224), (180, 180), (224, 224)]
    windows = [prepare(sample(256, 256, 0), index, 1).placement for index in range(20)]
    assert {round(180 / window.scale[0]) for window in windows} == {224}


# Networks whose layers the recipes name: (rates of the layers at the recipe's rate 1, norms), by the released files.
NAMED = {
    "maxout-mnist-dense": ("maxout_dense", 1.0, {"hidden_1.0": 1.9365, "hidden_2.0": 1.9365, "output": 1.9365}),
    "maxout-mnist": ("maxout_mnist", 1.0, {"h0.0": 0.9, "h1.0": 1.9365, "h2.0": 1.9365, "output": 1.9365}),
    "maxout-cifar": (
        "maxout_cifar",
        {"h0.0.weight": 0.05, "h2.0.bias": 0.05, "h3.0.weight": 1.0, "output.weight": 1.0},
        {"h0.0": 0.9, "h1.0": 1.9365, "h2.0": 1.9365, "h3.0": 1.9, "output": 1.9365},
    ),
    "nin-cifar": (
        "nin_cifar",
        {"mlpconv1.conv.weight": 1.0, "mlpconv1.conv.bias": 2.0}
        | {"mlpconv3.cccp2.weight": 0.1, "mlpconv3.cccp2.bias": 0.2},
        {},
    ),
    "fitnet-cifar": (
        "fitnet4",
        {"stage_1.0.0.weight": 0.05, "stage_3.5.0.bias": 0.05, "fc.0.weight": 1.0, "output.bias": 1.0},
        {"stage_1.0.0": 0.9, "stage_2.3.0": 0.9, "stage_3.5.0": 0.9, "fc.0": 1.9, "output": 1.9365},
    ),
    "dsn-cifar-1": (
        "dsn",
        {"conv1.weight": 1.0, "cccp5.bias": 2.0, "cccp6.weight": 0.1, "cccp6.bias": 0.2}
        | {"companion_1.weight": 0.001, "companion_3.bias": 0.002},
        {},
    ),
    "faster-rcnn-voc": (
        "faster_rcnn",
        {"backbone.features.2.weight": 0.0, "backbone.features.7.bias": 0.0, "backbone.features.10.weight": 1.0}
        | {"backbone.features.24.weight": 1.0, "backbone.features.28.bias": 2.0, "rpn.conv.bias": 2.0},
        {},
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_layers_get_the_released_rates_and_bounds(name: str) -> None:
    model, rates, norms = NAMED[name]
    recipe, network = PUBLISHED[name], shapeless(model)
    names = {id(parameter): key for key, parameter in network.named_parameters()}
    optimizer = make_optimizer(network, recipe.optimizer)
    found = {
        names[id(p)]: group["lr"] / recipe.optimizer.lr for group in optimizer.param_groups for p in group["params"]
    }
    expected = rates if isinstance(rates, dict) else dict.fromkeys(found, rates)
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    bounds = dict(NormBounds(network, recipe.max_norms)._bounded)
    modules = dict(network.named_modules())
    assert {key: bounds[modules[key]] for key in norms} == norms
    assert bool(bounds) == bool(norms)


def test_every_family_has_a_recipe_or_a_reason() -> None:
    found = families(card for card in all_cards() if card.builder.startswith("visus."))
    assert set(found) == set(RECIPES_OF) | set(WITHOUT)
    assert not set(RECIPES_OF) & set(WITHOUT)
    named = {name for names in RECIPES_OF.values() for name in names}
    assert named == (set(PUBLISHED) | set(PHASES)) - {"convnetjs-cifar"}  # whose network is in no paper
    assert recipes_of(find("squeezenet1_0")) == ("squeezenet-imagenet",)
    assert recipes_of(find("lenet5")) == ()


@pytest.mark.parametrize("name", CLASSIFYING)
def test_each_trains_a_network_for_two_steps(name: str) -> None:
    recipe = PUBLISHED[name].with_changes(
        {"epochs": 1, "batch_size": 2, "accumulate": 1, "size": None, "schedule.warmup_epochs": 0}
        | {"model_options": {}, "early_stopping": None, "optimizer.rates": {}, "max_norms": {}}  # of other networks
    )
    card = find("resnet20")
    preprocessing = training_preprocessing(card, recipe, 3)
    torch.manual_seed(0)
    network = build(card, classes=2, in_channels=3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    task = Classification(CLASSES, recipe.loss)
    loader = Loader(
        [sample(40, 48, seed) for seed in range(4)],
        Preparer("classification", preprocessing, recipe.augmentation, 0),
        task.collate,
        batch_size=2,
        shuffle=True,
        seed=0,
    )
    fitted = fit(
        network,
        task.updates(network, recipe),
        loader,
        recipe,
        to_device=to_device(preprocessing, torch.device("cpu"), channels_last=recipe.channels_last),
    )
    assert fitted.steps == 2
    assert math.isfinite(fitted.history[0]["loss"])
    expected = recipe.optimizer.lr * 2 / (recipe.reference_batch_size or 2)
    shape = rate(recipe.schedule, 1, steps_an_epoch=2, epochs=1)
    assert fitted.history[0]["lr"] == pytest.approx(expected * shape)
    learning = "linear" if recipe.freeze == "backbone" else "layer2.0.conv1"
    after = network.state_dict()
    assert not torch.equal(after[f"{learning}.weight"], before[f"{learning}.weight"])
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    if recipe.filter_rms is not None:
        kernels = [value for value in after.values() if value.ndim == 4]
        assert (
            max(kernel.square().mean((1, 2, 3)).sqrt().max().item() for kernel in kernels) <= recipe.filter_rms * 1.001
        )


@pytest.mark.parametrize("name", CLASSIFYING)
def test_each_says_where_it_is_printed(name: str) -> None:
    recipe = PUBLISHED[name]
    places = ("section", "listing", "prototxt", ".lua", "appendix", "demo", ".yaml", ".cfg", "methods details")
    assert any(place in recipe.source for place in places)
    assert Recipe.from_dict(recipe.model_dump(mode="json")) == recipe
    assert not recipe.source.endswith("."), "the page adds the full stop"


@pytest.mark.parametrize("name", ["alexnet-imagenet", "resnet-cifar"])
def test_what_learns_from_scaled_crops_answers_at_the_models_own_size(name: str) -> None:
    recipe = PUBLISHED[name].with_changes({"size": [96, 96]})
    training = training_preprocessing(find("resnet18"), recipe, 3)
    assert prediction_preprocessing(training, recipe) == training


def sample(height: int, width: int, seed: int) -> Sample:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Sample(f"{seed}", ArrayImage(pixels), {"classification": Label(CLASSES, seed % 2)})


# What each recipe must give a source for, at its default or not.
ALWAYS = ("keep", "epochs", "batch_size", "schedule.name", "augmentation.mirror")
ALWAYS += tuple(f"optimizer.{name}" for name in ("name", "lr", "momentum", "weight_decay"))
SPARED = {*ABOUT, "channels_last"}  # the memory layout changes no value


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_line_has_a_source(name: str) -> None:
    recipe = PUBLISHED[name]
    fields = {field: value for field, _, value, _ in recipe.fields()}
    defaults = {field: value for field, _, value, _ in Recipe().fields()}
    parts = {field.rpartition(".")[0] for field in fields}
    for stated in recipe.sources:
        assert stated in fields or stated in parts, f"there is no field {stated}"
    changed = [field for field, value in fields.items() if value != defaults[field] and field not in SPARED]
    for field in [*ALWAYS, *changed]:
        if field == "reference_batch_size" and recipe.reference_batch_size == recipe.batch_size:
            continue
        if field == "optimizer.momentum" and not recipe.optimizer.name.startswith(("sgd", "rmsprop")):
            continue
        assert recipe.source_of(field), f"where is {field} printed?"
    assert "keep" in recipe.sources, "which weights the source ends with"
    assert recipe.missing is not None, "what the source has and this recipe has not; () for nothing"


@pytest.mark.parametrize("name", PUBLISHED)
def test_only_who_chooses_by_validation_keeps_the_best(name: str) -> None:
    recipe = PUBLISHED[name]
    chosen = any(word in recipe.sources["keep"] for word in ("validation", "early stopping"))
    assert (recipe.keep == "best") == chosen, recipe.sources["keep"]


def test_a_changed_field_is_no_longer_the_papers() -> None:
    recipe = PUBLISHED["alexnet-imagenet"].with_changes({"optimizer.lr": 1.0, "augmentation": {"mirror": 0.1}})
    assert recipe.source_of("optimizer.lr") == recipe.source_of("augmentation.mirror") == "changed"
    assert recipe.source_of("optimizer.momentum") == "section 5"


def test_a_field_cannot_have_two_sources() -> None:
    assert by_field({"section 4": "epochs keep", "the code": "ema"}) == {
        "epochs": "section 4",
        "keep": "section 4",
        "ema": "the code",
    }
    with pytest.raises(ValueError, match="epochs has two sources"):
        by_field({"section 4": "epochs", "section 5": "epochs"})
