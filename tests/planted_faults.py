"""Plants faults in copies of the source, one at a time, and tells which test finds each: ``make faults``.

``python tests/planted_faults.py [--tree FOLDER] [NUMBER ...]``: all faults, or those of the numbers; FOLDER is another
checkout whose source and tests are asked. Each fault replaces one text that its file holds exactly once; the tool ends
with an error when that text is gone, so that the list cannot silently rot. Exit code 1: something was not found.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from planting import Fault, ask, plant

RESNET = "models/classification/resnet.py"
FAULTS = (
    # models
    Fault(
        "a stage that does not stride",
        RESNET,
        "first, second = (stride, 1) if",
        "first, second = (1, 1) if",
        ("proof/test_prove.py -k everything or published",),
    ),
    Fault(
        "a missing ReLU after an addition",
        RESNET,
        "return self.relu(self.residual(x) + self.downsample(x))",
        "return self.residual(x) + self.downsample(x)",
        ("oracle/test_torchvision_classification.py -k resnet18",),
    ),
    Fault(
        "a missing ReLU in the residual branch",
        RESNET,
        "y = self.relu(self.bn1(self.conv1(x)))  # [N, width, H/s, W/s]",
        "y = self.bn1(self.conv1(x))",
        ("oracle/test_torchvision_classification.py -k resnet18",),
    ),
    Fault(
        "wrong padding of the first pooling",
        RESNET,
        "nn.MaxPool2d(3, stride=2, padding=1)",
        "nn.MaxPool2d(2, stride=2)",
        ("models/classification/test_resnet_and_vgg.py", "oracle/test_torchvision_classification.py -k resnet18"),
    ),
    Fault(
        "blocks of a group that all stride",
        "models/classification/mobilenet_v2.py",
        "stride = s if repeat == 0 else 1",
        "stride = s",
        ("conformance/test_models.py -k mobilenet_v2",),
    ),
    Fault(
        "a residual where the block strides",
        "models/classification/mobilenet_v2.py",
        "self.is_residual = stride == 1 and in_channels == out_channels",
        "self.is_residual = stride == 1 and in_channels == out_channels and expansion == 1",
        ("oracle/test_torchvision_classification.py -k mobilenet", "models/classification/test_mobilenet_v2.py"),
    ),
    Fault(
        "large boxes of YOLO v2 that count more",
        "models/detection/yolov2.py",
        "errors = errors * (2 - (matched",
        "errors = errors * (1 + (matched",
        ("models/detection/test_yolov2.py",),
    ),
    Fault(
        "a lost gradient of the deeper maps",
        "models/detection/yolov3.py",
        "answer, above = scale(features[stride], above)",
        "answer, above = scale(features[stride].detach(), above)",
        ("conformance/test_models.py -k yolov3 and gradients",),
    ),
    Fault(
        "swapped anchors of the levels",
        "models/detection/yolov3.py",
        "yolo_output(answers, self.anchors, (height",
        "yolo_output(answers, self.anchors[::-1], (height",
        ("models/detection/test_yolov3.py", "models/detection/test_darknet_weights.py"),
    ),
    # layers
    Fault(
        "a gate without its sigmoid",
        "layers/squeeze_excitation.py",
        "s: Tensor = self.sigmoid(self.fc2(self.activation(self.fc1(z))))",
        "s: Tensor = self.fc2(self.activation(self.fc1(z)))",
        ("oracle/test_timm_senet.py", "models/classification/test_senet.py"),
    ),
    Fault(
        "maps of zeros on the wrong side",
        "layers/zero_padding.py",
        'before = missing // 2 if zeros == "around" else 0',
        'before = missing // 2 if zeros != "around" else 0',
        ("models/classification/test_resnet_cifar.py", "layers"),
    ),
    Fault(
        "a survival probability the other way round",
        "layers/drop_path.py",
        'return float(torch.rand((), device="cpu").item() < self.survival)',
        'return float(torch.rand((), device="cpu").item() > self.survival)',
        ("models/classification/test_stochastic_depth.py", "layers/test_drop_path.py"),
    ),
    Fault(
        "local normalization over one map too few",
        "layers/response_normalization.py",
        "for shift in range(1, self.size):",
        "for shift in range(1, self.size - 1):",
        ("layers", "models/classification/test_alexnet.py"),
    ),
    # ops
    Fault(
        "boxes decoded off by half a side",
        "ops/box_coding.py",
        "return torch.cat([centres - sides / 2, centres + sides / 2], dim=-1)",
        "return torch.cat([centres, centres + sides], dim=-1)",
        ("ops/test_box_coding.py",),
    ),
    Fault(
        "a cell's centre off by half a cell",
        "ops/prediction_grid.py",
        "x = (np.arange(grid.columns, dtype=np.float32) + np.float32(at))",
        "x = np.arange(grid.columns, dtype=np.float32)",
        ("ops/test_default_boxes.py",),
    ),
    Fault(
        "boxes lying and standing swapped",
        "ops/default_boxes.py",
        "shapes += [(long, short), (short, long)]",
        "shapes += [(short, long), (long, short)]",
        ("ops/test_default_boxes.py", "models/detection/test_ssd.py", "oracle/test_torchvision_ssd.py"),
    ),
    Fault(
        "areas that count one pixel more",
        "ops/iou.py",
        "shared = np.clip(sides, 0, None).prod(-1)",
        "shared = np.clip(sides + 1, 0, None).prod(-1)",
        ("ops/test_iou.py",),
    ),
    Fault(
        "ignored objects that are background",
        "ops/matching.py",
        "matches[near_ignored] = NEUTRAL",
        "matches[near_ignored] = BACKGROUND",
        ("ops/test_matching.py", "models/detection/test_worked_targets.py"),
    ),
    Fault(
        "the anchor of the neighbouring level answers",
        "ops/cell_boxes.py",
        "predictor = first_row + cell * count + best - first_anchor",
        "predictor = first_row + cell * count + best",
        ("ops/test_cell_boxes.py", "models/detection/test_yolov3.py"),
    ),
    Fault(
        "a class suppresses the others",
        "ops/suppression.py",
        "above &= boxes.labels[one] == others.labels[other]",
        "pass",
        ("ops/test_suppression.py", "answers/test_detectors.py"),
    ),
    Fault(
        "a neighbour that reaches farther is not seen",
        "ops/suppression.py",
        "reach = (1 - loose) / (1 + loose) * (widths + others) / 2",
        "reach = (1 - loose) / (1 + loose) * widths / 2",
        ("ops/test_suppression.py",),
    ),
    Fault(
        "background is an object",
        "answers/ssd.py",
        "rows, labels, scores = self.selection.above(softmax(logits[near])[:, 1:])",
        "rows, labels, scores = self.selection.above(softmax(logits[near])[:, :-1])",
        ("answers/test_detectors.py",),
    ),
    # multi-label classification
    Fault(
        "a class that is not known counts as absent",
        "metrics/multilabel_classification.py",
        "true, known = codes == 1, codes != IGNORE",
        "true, known = codes == 1, codes != 254",
        ("metrics/test_multilabel_classification.py",),
    ),
    Fault(
        "a threshold at a score instead of between two",
        "metrics/multilabel_classification.py",
        "middles = (curve.scores + np.append(curve.scores[1:], 0.0)) / 2",
        "middles = curve.scores",
        ("metrics/test_multilabel_classification.py",),
    ),
    Fault(
        "a loaded model forgets its thresholds",
        "workflow/loading.py",
        "make_task(info.task, info.classes).with_settings(info.answer_settings)",
        "make_task(info.task, info.classes)",
        ("cli/test_multilabel_classification.py",),
    ),
    Fault(
        "positives are weighted by their share instead of its inverse",
        "losses/class_weights.py",
        "torch.where((p > 0) & (p < 1), (1 - p) / p, 1.0)",
        "torch.where((p > 0) & (p < 1), p / (1 - p), 1.0)",
        ("tasks/test_multilabel_classification.py",),
    ),
    Fault(
        "-1 beside 0 means absent",
        "data/formats/tables/label_cells.py",
        "absent = NO if any(cell in NO for cell in cells) else NO | MINUS",
        "absent = NO | MINUS",
        ("data/formats/tables/test_csv_labels.py",),
    ),
    # losses
    Fault(
        "ignored pixels in the mean",
        "losses/cross_entropy.py",
        "return entropy.sum() / counts.sum().clamp(min=1)",
        "return entropy.mean()",
        ("losses/test_cross_entropy.py",),
    ),
    Fault(
        "dice that sees ignored pixels",
        "losses/dice.py",
        "probabilities = logits.softmax(1) * counts[:, None]",
        "probabilities = logits.softmax(1)",
        ("losses/test_dice.py",),
    ),
    Fault(
        "the easiest negatives in place of the hardest",
        "losses/multibox.py",
        "hardness.argsort(1, descending=True)",
        "hardness.argsort(1)",
        ("losses/test_multibox.py",),
    ),
    Fault(
        "the weights of ones and zeros swapped",
        "losses/focal.py",
        "weight = alpha * targets + (1 - alpha) * (1 - targets)",
        "weight = (1 - alpha) * targets + alpha * (1 - targets)",
        ("oracle/test_torchvision_retinanet.py", "models/detection/test_retinanet.py"),
    ),
    # metrics
    Fault(
        "a second detection of an object is a hit too",
        "metrics/average_precision.py",
        "hits[np.unique(owner, return_index=True)[1]] = True",
        "hits[:] = True",
        ("metrics/test_average_precision.py",),
    ),
    Fault(
        "truth and answer swapped in the table",
        "metrics/segmentation.py",
        "pairs = target.map.astype(np.uint16) * np.uint16(_IDS) + prediction.map",
        "pairs = prediction.map.astype(np.uint16) * np.uint16(_IDS) + target.map",
        ("metrics/test_segmentation.py",),
    ),
    Fault(
        "invisible points in the mean",
        "metrics/landmarks.py",
        "distance[~target.visible] = np.nan",
        "distance[~target.visible] = 0",
        ("metrics/test_landmarks.py",),
    ),
    # structures
    Fault(
        "mirrored landmarks that keep their names",
        "structures/values/landmarks.py",
        "order[[left, right]] = right, left",
        "order[[left, right]] = left, right",
        ("structures/values/test_landmarks.py", "data/augmentation/test_geometry.py"),
    ),
    Fault(
        "boxes that come home unscaled",
        "structures/placement.py",
        "np.clip((boxes - offset) / scale, 0, limit)",
        "np.clip(boxes / scale - offset, 0, limit)",
        ("data/augmentation/test_preparing.py", "structures"),
    ),
    # data
    Fault(
        "BGR not swapped",
        "data/augmentation/preparing.py",
        'if preprocessing.order == "BGR" and images.shape[1] == 3:',
        'if preprocessing.order == "GBR" and images.shape[1] == 3:',
        ("data/augmentation/test_normalise.py",),
    ),
    Fault(
        "mirrored boxes off by one",
        "data/augmentation/geometry.py",
        "lambda points: np.stack([width - points[..., 0], points[..., 1]], axis=-1),",
        "lambda points: np.stack([width - 1 - points[..., 0], points[..., 1]], axis=-1),",
        ("data/augmentation/test_geometry.py",),
    ),
    Fault(
        "SSD's contrast about grey",
        "data/augmentation/ssd.py",
        "np.rint(np.arange(256) * factor + shift)",
        "np.rint((np.arange(256) - 127) * factor + 127 + shift)",
        ("data/augmentation/test_ssd.py",),
    ),
    Fault(
        "Darknet's factors without their inverse",
        "data/augmentation/darknet.py",
        "return scale if random.integers(2) else 1 / scale",
        "return scale if random.integers(2) else scale",
        ("data/augmentation/test_darknet.py",),
    ),
    Fault(
        "an order that is the same in each epoch",
        "data/loading/order.py",
        "np.random.SeedSequence(self.seed, spawn_key=(epoch,))",
        "np.random.SeedSequence(self.seed, spawn_key=(0,))",
        ("data/loading/test_loader.py",),
    ),
    Fault(
        "a share of lost objects that is never too large",
        "data/reading/accounting.py",
        "return lost > max(1, share * total) or (lost > 0 and lost >= total)",
        "return lost > max(1, total)",
        ("data/reading/test_accounting.py",),
    ),
    Fault(
        "background that counts as something to find",
        "data/inspection/learnable.py",
        'if name.lower() != "background"',
        'if name.lower() != "backdrop"',
        ("data/inspection/test_learnable.py",),
    ),
    Fault(
        "boxes of VOC that begin one pixel late",
        "data/formats/voc/voc.py",
        "from_one=True,",
        "from_one=False,",
        ("data/formats/test_detection.py",),
    ),
    Fault(
        "a class too small to give its share to a split",
        "data/reading/splits.py",
        "share[split] = min(wanted, left - 1)",
        "share[split] = min(wanted, left)",
        ("data/reading/test_splits.py",),
    ),
    # answers
    Fault(
        "penalties read as if they spoke for a class",
        "answers/classification.py",
        "softmax(values if self.sign > 0 else -values)",
        "softmax(values)",
        ("answers/test_readers.py",),
    ),
    Fault(
        "seams without blending",
        "answers/maps.py",
        "                shares *= _ramp(first, last, size[0], blend[0])[:, None]\n",
        "",
        ("answers/test_maps.py",),
    ),
    # tasks
    Fault(
        "auxiliary heads without their weight",
        "tasks/codecs.py",
        "torch.stack([w * loss for w, loss",
        "torch.stack([loss for w, loss",
        ("tasks/test_classification.py", "models/classification/test_googlenet.py"),
    ),
    # engine
    Fault(
        "an average that is never updated",
        "engine/session.py",
        "            self.average.update(self.position.step)\n",
        "            pass\n",
        ("engine/test_fit.py", "engine/test_ema.py"),
    ),
    Fault(
        "a milestone one epoch late",
        "engine/schedule.py",
        "sum(epoch >= milestone for milestone in schedule.milestones)",
        "sum(epoch >= milestone + 1 for milestone in schedule.milestones)",
        ("engine/test_schedule.py",),
    ),
    Fault(
        "norms that are bounded by the longest unit",
        "engine/filters.py",
        "layer.weight.flatten(1).norm(dim=1)",
        "layer.weight.flatten(1).norm(dim=1).max().expand(len(layer.weight))",
        ("engine/test_filters.py",),
    ),
    Fault(
        "rates by name that are not asked for",
        "engine/optimizer.py",
        "rate *= settings.rates.get(longest_start(name, settings.rates), 1.0)",
        "rate *= 1.0",
        ("engine/test_optimizer.py",),
    ),
    Fault(
        "a classifier's window whose aspect is the other way round",
        "data/augmentation/darknet.py",
        "min(height, width * aspect)",
        "min(height, width / aspect)",
        ("data/augmentation/test_darknet.py",),
    ),
    Fault(
        "a rate that is one step behind",
        "engine/session.py",
        "        self._set_rate(self.position.step)\n        for module",
        "        self._set_rate(max(self.position.step - 1, 0))\n        for module",
        ("engine/test_fit.py", "engine/test_schedule.py", "engine/test_optimizer.py"),
    ),
    Fault(
        "frozen BatchNorms that go on counting",
        "engine/modes.py",
        "            module.eval()",
        "            module.train()",
        ("engine/test_freezing.py",),
    ),
    # analysis, proof, recipes, workflow, explanation
    Fault(
        "a receptive field without dilation",
        "analysis/receptive_field.py",
        "(r + d * (k - 1) * j, f",
        "(r + (k - 1) * j, f",
        ("analysis/test_receptive_field.py",),
    ),
    Fault(
        "a proof that lets every figure pass",
        "proof/checking.py",
        "agrees = abs(farthest - figure.value) <= figure.within",
        "agrees = True",
        ("proof/test_facts.py", "proof/test_planted_faults.py", "proof/test_prove.py -k not everything"),
    ),
    Fault(
        "another number of epochs than published",
        "recipes/residual.py",
        "            epochs=120,\n",
        "            epochs=12,\n",
        ("recipes",),
    ),
    Fault(
        "windows at their own resolution that are scaled to answer",
        "recipes/choice.py",
        'return replace(training, size=None, fit="none")',
        "return training",
        ("recipes", "workflow", "cli/test_objects.py"),
    ),
    Fault(
        "windows whose places are off by a stride",
        "workflow/sliding.py",
        "lefts = np.arange(logits.shape[3]) * stride[1] / exact[1]",
        "lefts = (np.arange(logits.shape[3]) + 1) * stride[1] / exact[1]",
        ("api/test_slide.py", "cli/test_localization.py"),
    ),
    Fault(
        "a heatmap of what speaks against the class",
        "explanation/gradcam.py",
        "return (alpha * map_.float()).sum(dim=1, keepdim=True).relu()",
        "return (-alpha * map_.float()).sum(dim=1, keepdim=True).relu()",
        ("explanation/test_gradcam.py",),
    ),
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Plants faults and tells which test finds each.")
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[1], help="another checkout")
    parser.add_argument("numbers", nargs="*", type=int, help="of faults, from 1; all")
    chosen = parser.parse_args(arguments)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(chosen.tree / "src", source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        numbers = chosen.numbers or range(1, len(FAULTS) + 1)
        for number, fault in enumerate(FAULTS, start=1):  # before any test runs: all texts are there
            (source / "visus" / fault.file).write_text(plant(fault, source, number), encoding="utf-8")
        for number in numbers:
            fault = FAULTS[number - 1]
            text = plant(fault, source, number)
            found = next(filter(None, (ask(tests, chosen.tree, source) for tests in fault.tests)), "")
            (source / "visus" / fault.file).write_text(text, encoding="utf-8")
            missed += not found
            print(f"{number:3} {fault.file:40} {fault.what:55} {found or 'NOT FOUND'}", flush=True)
    print(f"{len(numbers) - missed} of {len(numbers)} faults found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
