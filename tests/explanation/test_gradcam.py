"""Grad-CAM against answers that are known by hand, and that it leaves a network as it found it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.explanation.gradcam import grad_cam, grad_cam_of_each
from visus.models.detection.two_stage import Proposed, RegionOutput, TwoStageDetector, TwoStageOutput, whole_images
from visus.ops.box_coding import BoxCoding
from visus.ops.roi_pooling import roi_align
from visus.structures import Batch, Detections, Label, Placement, SegmentationMap
from visus.structures.proposals import Proposals
from visus.tasks.detection import Detection

NAMES = ("left", "right", "none")


class LabelScore:
    """The part of a task that Grad-CAM needs: the logit of each prediction's class."""

    def score(self, network, outputs: Tensor, predictions: list[Label]) -> Tensor:
        return outputs[torch.arange(len(predictions)), [p.index for p in predictions]]


class FixedScore:
    """A score that does not look at the predictions."""

    def __init__(self, of_outputs) -> None:
        self.of_outputs = of_outputs

    def score(self, network, outputs, predictions) -> Tensor:
        return self.of_outputs(outputs)


class Linear(nn.Module):
    """Two maps, their average over the places, a linear layer: what Grad-CAM says of it can be worked out by hand.

    Features are the first two channels of the image in cells of 2 x 2 pixels.
    """

    channels = {2: 2}  # noqa: RUF012
    head = ("weight",)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[2.0, -1.0], [-1.0, 3.0], [-1.0, -1.0]]))

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {2: images[:, :2, ::2, ::2]}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        return features[2].mean((2, 3)) @ self.weight.T

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


class Small(nn.Module):
    """A convolutional network with the layers that make modes and in-place work matter."""

    channels = {1: 4, 2: 6}  # noqa: RUF012
    head = ("out.",)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.second = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6))
        self.rectify = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(6, 3)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        fine = self.first(images)
        return {1: fine, 2: self.second(fine)}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        return self.out(self.drop(self.rectify(features[2])).square().mean((2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def batch_of(images: Tensor, placements: list[Placement] | None = None) -> Batch:
    size = (int(images.shape[2]), int(images.shape[3]))
    return Batch(
        images, None, placements or [Placement.identity(size)] * len(images), [str(i) for i in range(len(images))]
    )


def labels(*indices: int) -> list[Label]:
    return [Label(NAMES, i) for i in indices]


def two_maps() -> Tensor:
    """[1,3,4,4]: A_0 = [[4, 0], [0, 0]], A_1 = [[0, 2], [1, 0]] in cells of 2 x 2."""
    image = torch.zeros(1, 3, 4, 4)
    image[0, 0, :2, :2] = 4
    image[0, 1, :2, 2:] = 2
    image[0, 1, 2:, :2] = 1
    return image


class TestWorkedExample:
    """alpha = weight / 4 (the mean over 4 places of d/dA, each weight / 4), so class 0 gives
    ReLU(2/4 A_0 - 1/4 A_1) / max = [[1, 0], [0, 0]], and class 1 ReLU(-1/4 A_0 + 3/4 A_1) / max = [[0, 1], [1/2, 0]].
    """

    @pytest.mark.parametrize(("index", "cells"), [(0, [[1, 0], [0, 0]]), (1, [[0, 1], [0.5, 0]])])
    def test_the_map_is_that_of_equations_1_and_2(self, index: int, cells: list):
        (heat,) = grad_cam(Linear(), LabelScore(), batch_of(two_maps()), labels(index))
        # Bilinear scaling by 2: the corners of the image lie nearest to the corners' cells, outside their centres.
        corners = heat.values[[0, 0, 3, 3], [0, 3, 0, 3]]
        np.testing.assert_allclose(corners, np.ravel(cells), atol=1e-6)

    def test_the_scaling_is_bilinear_between_cell_centres(self):
        (heat,) = grad_cam(Linear(), LabelScore(), batch_of(two_maps()), labels(0))
        line = np.asarray([1, 0.75, 0.25, 0])
        np.testing.assert_allclose(heat.values, np.outer(line, line), atol=1e-6)

    def test_a_class_that_everything_speaks_against_gives_an_all_zero_map(self):
        (heat,) = grad_cam(Linear(), LabelScore(), batch_of(two_maps()), labels(2))
        assert heat.values.shape == (4, 4)
        assert (heat.values == 0).all()

    def test_swapped_classes_swap_the_maps(self):
        images = two_maps().repeat(2, 1, 1, 1)
        one, two = grad_cam(Linear(), LabelScore(), batch_of(images), labels(0, 1))
        three, four = grad_cam(Linear(), LabelScore(), batch_of(images), labels(1, 0))
        assert (one.values != two.values).any()
        np.testing.assert_array_equal(one.values, four.values)
        np.testing.assert_array_equal(two.values, three.values)

    def test_an_image_is_explained_as_it_would_be_alone(self):
        torch.manual_seed(0)
        network, images = Small(), torch.randn(3, 3, 8, 8)
        together = grad_cam(network, LabelScore(), batch_of(images), labels(0, 1, 2))
        for i in range(3):
            (alone,) = grad_cam(network, LabelScore(), batch_of(images[i : i + 1]), labels(i))
            np.testing.assert_allclose(together[i].values, alone.values, atol=1e-5)

    def test_alpha_agrees_with_gradients_taken_numerically(self):
        torch.manual_seed(1)
        network, images = Small().double().eval(), torch.randn(1, 3, 8, 8, dtype=torch.float64)
        map_ = network.features(images)[2].detach()
        alpha = torch.zeros(6, dtype=torch.float64)
        for c in range(6):
            for step in (1e-5, -1e-5):
                # Moving every place of a channel at once sums its derivatives.
                moved = map_.clone()
                moved[:, c] += step
                alpha[c] += network.from_features({2: moved}, images.shape[-2:])[0, 1].item() / (2 * step * 16)
        expected = (alpha.view(1, 6, 1, 1) * map_).sum(1, keepdim=True).relu()
        expected = nn.functional.interpolate(expected, size=(8, 8), mode="bilinear")[0, 0]
        (heat,) = grad_cam(network, LabelScore(), batch_of(images), labels(1))
        np.testing.assert_allclose(heat.values, (expected / expected.max()).detach().numpy(), atol=1e-4)


class TestPlacement:
    def test_the_map_lies_in_file_pixels(self):
        placement = Placement((8, 12), (4, 4), (0.5, 1 / 3))
        (heat,) = grad_cam(Linear(), LabelScore(), batch_of(two_maps(), [placement]), labels(0))
        assert heat.values.shape == (8, 12)
        assert heat.values[0, 0] == pytest.approx(1)
        assert heat.values[-1, -1] == 0

    def test_what_was_cropped_away_is_zero_and_the_rest_reaches_one(self):
        placement = Placement((4, 8), (4, 4), offset=(0, -4))
        (heat,) = grad_cam(Linear(), LabelScore(), batch_of(two_maps(), [placement]), labels(0))
        assert (heat.values[:, :4] == 0).all()
        assert heat.values[0, 4] == 1

    def test_heat_in_the_padding_does_not_dim_the_image(self):
        image = two_maps().flip(3)  # the hottest cell now lies in the padding on the right
        image[0, 0, 2:, :2] = 1
        placement = Placement((4, 2), (4, 4))
        (heat,) = grad_cam(Linear(), LabelScore(), batch_of(image, [placement]), labels(0))
        assert heat.values.max() == 1


class TestLeavesNoTrace:
    @pytest.mark.parametrize("training", [True, False])
    def test_modes_gradients_buffers_and_hooks_stay(self, training: bool):
        network = Small().train(training)
        network.first.eval()
        for parameter in network.first.parameters():
            parameter.requires_grad_(False)
        modes = [module.training for module in network.modules()]
        state = {name: value.clone() for name, value in network.state_dict().items()}
        images = torch.randn(2, 3, 8, 8)
        before = images.clone()
        grad_cam(network, LabelScore(), batch_of(images), labels(0, 1))
        assert [module.training for module in network.modules()] == modes
        assert all(parameter.grad is None for parameter in network.parameters())
        assert [p.requires_grad for p in network.first.parameters()] == [False] * 4
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
        assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())
        assert images.grad is None
        assert torch.equal(images, before)

    def test_modes_are_put_back_after_an_error_too(self):
        network = Small().train()

        def fail(outputs):
            raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            grad_cam(network, FixedScore(fail), batch_of(torch.randn(1, 3, 8, 8)), labels(0))
        assert network.training

    def test_train_mode_gives_the_map_of_eval_mode(self):
        network, images = Small(), torch.randn(2, 3, 8, 8)
        evaluated = grad_cam(network.eval(), LabelScore(), batch_of(images), labels(0, 1))
        trained = grad_cam(network.train(), LabelScore(), batch_of(images), labels(0, 1))
        for one, two in zip(evaluated, trained, strict=True):
            np.testing.assert_array_equal(one.values, two.values)

    def test_frozen_networks_and_no_grad_and_inference_mode_change_nothing(self):
        network, images = Small().eval(), torch.randn(2, 3, 8, 8)
        expected = grad_cam(network, LabelScore(), batch_of(images), labels(0, 1))
        network.requires_grad_(False)
        for context in (torch.enable_grad, torch.no_grad, torch.inference_mode):
            with context():
                found = grad_cam(network, LabelScore(), batch_of(images * 1), labels(0, 1))
            for one, two in zip(expected, found, strict=True):
                np.testing.assert_array_equal(one.values, two.values)


class Dense(nn.Module):
    """A network without maps: one linear layer over all pixels."""

    head = ("out",)

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.out = nn.Linear(weight[0].numel(), len(weight), bias=False)
        self.out.weight.data = weight.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.out(images.flatten(1))


def test_a_network_without_maps_is_explained_by_its_pixels() -> None:
    """Of two channels, alpha is the mean weight: 1 and -1/2 here, so that the heat is ReLU(A_0 - A_1 / 2)."""
    weight = torch.zeros(3, 2, 2, 2)
    weight[0, 0] = torch.tensor([[4.0, 0], [0, 0]])
    weight[0, 1] = torch.tensor([[-1.0, -1], [0, 0]])
    image = torch.tensor([[[[4.0, 1], [2, 0]], [[0.0, 2], [2, 8]]]])
    (heat,) = grad_cam(Dense(weight), LabelScore(), batch_of(image), labels(0))
    np.testing.assert_allclose(heat.values, [[1, 0], [0.25, 0]], atol=1e-6)


class Pyramid(nn.Module):
    """A detector's kind of network: every map has its own outputs; the deepest has a single place."""

    channels = {1: 3, 2: 3, 4: 3}  # noqa: RUF012
    head = ()

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {1: images, 2: images[:, :, ::2, ::2], 4: images.mean((2, 3), keepdim=True)}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return {stride: map_.square().sum(1) for stride, map_ in features.items()}


class TestWhichMap:
    def test_the_deepest_that_the_score_depends_on_is_taken_image_by_image(self):
        images = torch.rand(2, 3, 4, 4) + 0.5
        task = FixedScore(lambda out: torch.stack([out[1][0, 1, 2], out[2][1, 0, 1]]))
        fine, coarse = grad_cam(Pyramid(), task, batch_of(images), labels(0, 0))
        assert len(np.unique(fine.values.round(5))) > 9  # 4 x 4 places, not scaled
        cells = grad_cam(Pyramid(), FixedScore(lambda out: out[2][:, 0, 1]), batch_of(images), labels(0, 0))
        np.testing.assert_allclose(coarse.values, cells[1].values, atol=1e-6)

    def test_a_single_place_says_nothing_where_a_finer_map_is_used_too(self):
        images = torch.rand(1, 3, 4, 4) + 0.5
        both = grad_cam(
            Pyramid(), FixedScore(lambda out: out[4][:, 0, 0] + out[2][:, 1, 1]), batch_of(images), labels(0)
        )
        assert both[0].values.std() > 0

    def test_a_score_that_depends_on_nothing_gives_zero(self):
        task = FixedScore(lambda out: torch.zeros(1))
        (heat,) = grad_cam(Pyramid(), task, batch_of(torch.rand(1, 3, 4, 4)), labels(0))
        assert (heat.values == 0).all()


class TestNames:
    def explained(self, prediction) -> str:
        task = FixedScore(lambda outputs: outputs[:, 0])
        return grad_cam(Linear(), task, batch_of(two_maps()), [prediction])[0].label

    def test_a_label_by_its_class(self):
        assert self.explained(Label(NAMES, 1)) == "right"

    def test_detections_by_their_classes_each_once(self):
        several = Detections(NAMES, np.zeros((3, 4), np.float32), np.asarray([2, 0, 2]), (4, 4))
        assert self.explained(several) == "none, left"
        assert self.explained(Detections.empty(NAMES, (4, 4))) == "nothing found"

    def test_a_map_by_its_classes_the_largest_first(self):
        names = tuple("abcde")
        ids = np.asarray([[4, 4, 4, 4], [3, 3, 3, 0], [1, 1, 0, 2], [1, 255, 255, 255]], np.uint8)
        assert self.explained(SegmentationMap(names, ids)).startswith("e, ")
        assert self.explained(SegmentationMap(names, ids)).endswith(" and 2 more")


def test_one_prediction_an_image_is_asked_for():
    with pytest.raises(ShapeError, match="one prediction for each image"):
        grad_cam(Linear(), LabelScore(), batch_of(two_maps()), labels(0, 1))


class TestSeveralAnswersAboutOneImage:
    @pytest.mark.parametrize("kind", [Small, Linear])
    def test_each_has_the_map_that_it_has_alone(self, kind):
        network = kind()
        image = torch.randn(1, 3, 8, 8) if kind is Small else two_maps()[:1]
        questions = labels(1, 0, 1)
        together = grad_cam_of_each(network, LabelScore(), batch_of(image), questions)
        for question, heat in zip(questions, together, strict=True):
            (alone,) = grad_cam(network, LabelScore(), batch_of(image), [question])
            np.testing.assert_array_equal(heat.values, alone.values)
            assert heat.label == alone.label == question.name
        assert (together[0].values != together[1].values).any()

    def test_the_network_is_asked_once(self):
        network, asked = Small(), []
        network.register_forward_hook(lambda *_: asked.append("whole"))
        features = network.features
        network.features = lambda images: (asked.append("features"), features(images))[1]
        grad_cam_of_each(network, LabelScore(), batch_of(torch.randn(1, 3, 8, 8)), labels(0, 1, 0))
        assert asked == ["features"]

    def test_of_one_image(self):
        with pytest.raises(ShapeError, match="for one image at a time"):
            grad_cam_of_each(Small(), LabelScore(), batch_of(torch.randn(2, 3, 8, 8)), labels(0, 1))


class Regions(TwoStageDetector):
    """The first two channels of the image in cells of 4 x 4, of which a region's class is the brighter one."""

    head = ()
    channels = {4: 2}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.coding = BoxCoding()

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {4: images[:, :2, ::4, ::4]}

    def propose(
        self, features: dict[int, Tensor], size: Sequence[int], proposals: Sequence[Tensor] | None = None
    ) -> Proposed:
        return Proposed(whole_images(features, size) if proposals is None else list(proposals))

    def classify(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionOutput:
        pooled = roi_align(features[4], boxes, 1, 1 / 4, aligned=True).flatten(1)  # [R, 2]
        return RegionOutput(torch.cat([torch.zeros(len(pooled), 1), pooled], 1), torch.zeros(len(pooled), 1, 4))


def test_a_network_that_is_given_proposals_is_explained_with_them() -> None:
    """Channel 0 is brighter at the left, channel 1 at the right; each speaks for the object in its own region."""
    image = torch.zeros(1, 3, 32, 32)
    image[:, 0, :, :16] = 1
    image[:, 1, :, 16:] = 1
    boxes = np.asarray([[0, 0, 12, 12], [20, 20, 32, 32]], np.float32)
    batch = replace(batch_of(image), proposals=[Proposals(boxes, (32, 32))])
    found = [Detections(NAMES[:2], boxes[k : k + 1], np.asarray([k]), (32, 32)) for k in range(2)]
    seen: list[tuple[int, ...]] = []

    def noted(outputs: TwoStageOutput) -> Tensor:
        seen.append(outputs.counts)
        return outputs.class_logits().amax((1, 2))

    left, right = grad_cam_of_each(Regions(), Detection(NAMES[:2]), batch, found)
    assert (left.values[:, :14] == 1).all()
    assert (left.values[:, 18:] == 0).all()
    assert (right.values[:, 18:] == 1).all()
    none = replace(batch, proposals=[Proposals.empty((32, 32))])
    for given, count in ((batch, 2), (none, 0), (batch_of(image), 1)):  # without proposals the whole image is looked at
        grad_cam(Regions(), FixedScore(noted), given, found[:1])
        assert seen[-1] == (count,)
    (nothing,) = grad_cam(Regions(), Detection(NAMES[:2]), none, [found[0].select(np.zeros(0, np.int64))])
    assert (nothing.values == 0).all()
