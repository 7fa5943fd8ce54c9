"""The phases of R-CNN and SPP-net after the fine-tuning: features on disk, SVMs, regressions of boxes, one model file.

Each works in a folder of its own beside the run of the fine-tuning, whose ``config.yaml`` says how all of them work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import yaml
from numpy.typing import NDArray

from visus.data.messages import counted
from visus.engine.disk import write_text
from visus.engine.feature_cache import Column, FeatureCache
from visus.engine.progress import choose_progress
from visus.engine.run_folder import RunFolder
from visus.errors import DataError, InterruptedRunError, TaskMismatchError, VisusError
from visus.structures import Detections, Proposals, Sample
from visus.workflow.changed_data import require_same_data
from visus.workflow.phases import Artefact, Context
from visus.workflow.plan import Plan, Preparation, prepare_again
from visus.workflow.run_training import assemble

if TYPE_CHECKING:
    from visus.data.augmentation.prepared import Prepared
    from visus.data.augmentation.preparing import Preparer
    from visus.models.detection.region_machines import BoxRules, RegionExamples, SVMRules
    from visus.models.detection.svm_regions import SVMDetector
    from visus.workflow.model import Model

MODEL = "model.safetensors"
SVMS = "svms.safetensors"
BOXES = "boxes.safetensors"
_AHEAD = 2  # images that are decoded while one is computed


def features(context: Context) -> Artefact:
    """Keeps fc7 of all regions of the training images on disk, and pool5 of those that overlap an object enough.

    An image that is in the cache is not computed again, so that a killed phase goes on with the next image.
    """
    plan, prepared = _of_finetuning(context)
    with _working(context, plan):
        model = _finetuned(context, plan)
        network = cast("SVMDetector", model.network)
        pool5, fc7 = network.sizes
        columns = {
            "fc7": Column("float16", fc7),
            "overlaps": Column("float32", network.classes),
            "objects": Column("int64", 1),
            "pool5": Column("float16", pool5),
            "offsets": Column("float32", 4),
            "labels": Column("int64", 1),
        }
        origin = {
            "network": context.artefacts["finetune"].digest,
            "data": model.info.data_fingerprint,
            "box_overlap": plan.recipe.regions.box_overlap,
        }
        cache = FeatureCache.open(context.folder, columns, origin)
        samples = prepared.dataset.split("train")
        progress = choose_progress(quiet=context.quiet)
        progress.begin("features", len(samples), len(cache))
        for prepared_image in _prepared(model, samples, start=len(cache)):
            arrays = _described(model, prepared_image, plan.recipe.regions.box_overlap)
            cache.append(prepared_image.id, arrays, images=len(samples))
            progress.advance(1)
        progress.end()
        if not cache.rows("labels"):
            raise DataError(
                "no region of the training images shows an object, so that nothing can be fitted",
                expected=f"a region that overlaps an object by more than {plan.recipe.regions.box_overlap:g}",
                got=f"{counted(cache.rows('fc7'), 'regions')} of {counted(len(cache), 'images')}",
                remedy="see the objects and proposals with: visus data check, visus data propose",
            )
        context.say(
            f"features: {counted(cache.rows('fc7'), 'regions')} of {counted(len(cache), 'images')} in {context.folder}"
        )
        return Artefact.of("features", "features", context.folder, cache.files)


def svms(context: Context) -> Artefact:
    """Fits a linear SVM a class to fc7, with hard negatives."""
    import torch

    from visus.engine.tensor_file import write_tensors
    from visus.models.detection.region_machines import feature_scale, fit_machines

    plan = _plan(context)
    with _working(context, plan):
        cache = _cache(context)
        rules = svm_rules(plan)
        scale = feature_scale((cache[i]["fc7"] for i in range(len(cache))), rules.mean_norm)
        progress = choose_progress(quiet=context.quiet)
        progress.begin("SVMs", len(cache))
        machines = fit_machines(
            _Examples(cache), scale, cache.columns["overlaps"].width, rules, lambda: progress.advance(1)
        )
        progress.end()
        tensors = {"weight": torch.from_numpy(machines.weight), "bias": torch.from_numpy(machines.bias)}
        write_tensors(context.folder / SVMS, tensors, {"scale": repr(scale)})
        for name, positives, negatives in zip(
            _finetuned_classes(context), machines.positives, machines.negatives, strict=True
        ):
            context.say(f"SVM of {name}: {positives:,} positive and {counted(negatives, 'hard negative regions')}")
        return Artefact.of("svm", "svm", context.folder, [SVMS])


def boxes(context: Context) -> Artefact:
    """Fits a ridge regression of boxes a class to pool5."""
    import torch

    from visus.engine.tensor_file import write_tensors
    from visus.models.detection.region_machines import feature_scale, fit_boxes

    plan = _plan(context)
    with _working(context, plan):
        cache = _cache(context)
        rules = box_rules(plan)
        scale = feature_scale((cache[i]["pool5"] for i in range(len(cache))), rules.mean_norm)
        classes = cache.columns["overlaps"].width
        labels = cache.array("labels")[:, 0]
        fitted = fit_boxes(cache.array("pool5"), cache.array("offsets"), labels, scale, classes, rules)
        tensors = {"weight": torch.from_numpy(fitted.weight), "bias": torch.from_numpy(fitted.bias)}
        write_tensors(context.folder / BOXES, tensors, {"scale": repr(scale)})
        for name, count in zip(_finetuned_classes(context), fitted.examples, strict=True):
            context.say(f"boxes of {name}: regressed from {counted(count, 'regions')}")
        return Artefact.of("boxes", "boxes", context.folder, [BOXES])


def model(context: Context) -> Artefact:
    """Puts network, SVMs and regressions into one model file, and judges it; a run folder as after any training."""
    from visus.engine.model_file import load_state
    from visus.engine.tensor_file import read_tensors

    plan, prepared = _of_finetuning(context)
    _, state = load_state(_artefact(context, "finetune").path(MODEL))
    state = {name: value for name, value in state.items() if not name.startswith("fc8.")}
    svms_, _ = read_tensors(_artefact(context, "svm").path(SVMS))
    boxes_, _ = read_tensors(_artefact(context, "boxes").path(BOXES))
    state |= {
        "machines.svms.weight": svms_["weight"],
        "machines.svms.bias": svms_["bias"],
        "machines.boxes.weight": boxes_["weight"].flatten(0, 1),
        "machines.boxes.bias": boxes_["bias"].flatten(),
    }
    phase = None if context.request is None else context.request.phase
    # all values are there: none is loaded first
    own = replace(plan, phase=phase, weights="none", recipe=plan.recipe.with_changes({"model_options.machines": True}))
    assemble(context.folder, replace(prepared, plan=own), state, quiet=context.quiet)
    return Artefact.of("model", "run", context.folder, [MODEL])


def svm_rules(plan: Plan) -> SVMRules:
    """How the SVMs are fitted, by the recipe."""
    from visus.models.detection.region_machines import SVMRules

    fits = plan.recipe.regions
    return SVMRules(
        c=fits.svm_c,
        positive_weight=fits.svm_positive_weight,
        bias=fits.svm_bias,
        negative_overlap=fits.svm_negative,
        mean_norm=fits.mean_norm,
    )


def box_rules(plan: Plan) -> BoxRules:
    """How the boxes' regressions are fitted, by the recipe."""
    from visus.models.detection.region_machines import BoxRules

    fits = plan.recipe.regions
    return BoxRules(penalty=fits.box_penalty, overlap=fits.box_overlap, mean_norm=fits.mean_norm)


class _Examples(Sequence["RegionExamples"]):
    """The images of a cache, as the SVMs are fitted to them."""

    def __init__(self, cache: FeatureCache) -> None:
        self._cache = cache

    def __len__(self) -> int:
        return len(self._cache)

    def __getitem__(self, index: Any) -> Any:
        from visus.models.detection.region_machines import RegionExamples

        arrays = self._cache[index]
        return RegionExamples(arrays["fc7"], arrays["overlaps"], arrays["objects"][:, 0])


def _described(model: Model, prepared: Prepared, box_overlap: float) -> dict[str, NDArray[Any]]:
    """What the cache keeps of one image."""
    import torch

    from visus.engine.device_batches import to_device

    network = cast("SVMDetector", model.network)
    batch = to_device(model.info.preprocessing, model.device)(model.task.collate([prepared]))
    size = (batch.images.shape[2], batch.images.shape[3])
    target: Detections = batch.targets[0]
    given = None if batch.proposals is None else batch.proposals[0]
    regions = region_targets(target, given, size, box_overlap)
    with torch.inference_mode():
        boxes_ = torch.from_numpy(regions["boxes"]).to(model.device)
        described = network.described(network.features(batch.images), [boxes_], size)
    chosen = regions["chosen"]
    return {
        # float16 ends at 65,504, where features of no network in use get
        "fc7": described.fc7.clamp(-6e4, 6e4).half().cpu().numpy(),
        "pool5": described.pool5[torch.from_numpy(chosen).to(model.device)].clamp(-6e4, 6e4).half().cpu().numpy(),
        **{name: regions[name] for name in ("overlaps", "objects", "offsets", "labels")},
    }


def region_targets(
    target: Detections, given: Proposals | None, size: tuple[int, int], box_overlap: float
) -> dict[str, NDArray[Any]]:
    """What is known of the regions of one image, its proposals and then the boxes of its objects.

    Args:
        target: its objects in network pixels.
        given: its proposals; None: the whole image is the only one.
        size: (height, width) of the network's input.
        box_overlap: above which a region learns an object's box.

    Returns:
        boxes [R,4] float32; overlaps [R,K] with the nearest object of each class; objects [R], the class of an object's
        own box, else -1; chosen [Q], the regions that learn a box, offsets [Q,4] and labels [Q] of these.
    """
    import torch

    from visus.models.detection.box_targets import box_targets_of
    from visus.models.detection.svm_regions import SVMDetector
    from visus.ops.boxes import box_iou

    (objects,) = box_targets_of([target], torch.device("cpu"))
    proposals = np.asarray([[0, 0, size[1], size[0]]], np.float32) if given is None else given.boxes
    proposals = proposals[(proposals[:, 2:] > proposals[:, :2]).all(1)]
    counted = ~objects.ignored
    regions = torch.cat([torch.from_numpy(np.asarray(proposals, np.float32)), objects.boxes[counted]])
    overlaps = torch.zeros(len(regions), len(target.classes))
    offsets, chosen, labels = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    if len(objects.boxes):
        pairs = box_iou(regions, objects.boxes)  # [R, G]
        overlaps.scatter_reduce_(1, objects.labels.expand(len(regions), -1), pairs, "amax")
        best, nearest = pairs.masked_fill(objects.ignored, 0).max(1)
        chosen = torch.nonzero(best > box_overlap).flatten()
        learned = nearest[chosen]
        offsets = SVMDetector.coding.encode(objects.boxes[learned], regions[chosen])
        labels = objects.labels[learned]
    own = np.full(len(regions), -1, np.int64)
    own[len(proposals) :] = objects.labels[counted].numpy()
    return {
        "boxes": regions.numpy(),
        "overlaps": overlaps.numpy(),
        "objects": own,
        "chosen": chosen.numpy(),
        "offsets": offsets.numpy(),
        "labels": labels.numpy(),
    }


def _prepared(model: Model, samples: Sequence[Sample], *, start: int) -> Iterator[Prepared]:
    """The network's inputs from sample ``start`` on; a thread decodes the next ones."""
    from visus.data.augmentation.preparing import Preparer

    prepare: Preparer = Preparer(model.info.task, model.info.preprocessing, None, 0)
    with ThreadPoolExecutor(1, thread_name_prefix="visus-decode") as pool:
        waiting: deque[Any] = deque()
        try:
            for index in range(start, len(samples)):
                waiting.append(pool.submit(prepare, samples[index], index, 0))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _plan(context: Context) -> Plan:
    """The plan of the fine-tuning, on the device that is asked for."""
    plan = Plan.load(_artefact(context, "finetune").folder / "config.yaml")
    request = context.request
    if request is None:
        return plan
    allowed = request.allow_changed_data
    return replace(plan, device=request.device, workers=request.workers, allow_changed_data=allowed)


def _of_finetuning(context: Context) -> tuple[Plan, Preparation]:
    """The plan of the fine-tuning, and its data, which must be the same."""
    plan = _plan(context)
    prepared = prepare_again(plan)
    folder, progress = RunFolder(context.folder), choose_progress(quiet=context.quiet)
    earlier = _artefact(context, "finetune").folder
    require_same_data(folder, prepared, allowed=plan.allow_changed_data, progress=progress, earlier=earlier)
    return plan, prepared


def _finetuned(context: Context, plan: Plan) -> Model:
    from visus.models.detection.svm_regions import SVMDetector
    from visus.workflow.loading import load_model

    model = load_model(_artefact(context, "finetune").path(MODEL), device=plan.device)
    if not isinstance(model.network, SVMDetector):
        raise TaskMismatchError(
            f"{model.info.model} has no features of regions to which SVMs could be fitted",
            expected="a network such as rcnn or spp_net",
            got=model.info.model,
        )
    return model


def _finetuned_classes(context: Context) -> tuple[str, ...]:
    from visus.engine.model_file import read_info

    return read_info(_artefact(context, "finetune").path(MODEL)).classes


def _cache(context: Context) -> FeatureCache:
    return FeatureCache.read(_artefact(context, "features").folder)


def _artefact(context: Context, name: str) -> Artefact:
    if name not in context.artefacts:
        raise DataError(
            f"what the phase {name} left is missing or damaged",
            expected=f"the folder of that phase beside {context.folder}",
            got=", ".join(context.artefacts) or "no earlier phase",
            remedy="go on from the first phase, which makes again what is missing: visus train --resume RUN-finetune",
        )
    return context.artefacts[name]


@contextmanager
def _working(context: Context, plan: Plan) -> Iterator[None]:
    """Holds the folder against a second process, writes from what the phase can be resumed, and ends at signals."""
    from visus.engine.interruption import Interrupted, Interruption

    folder = RunFolder(context.folder)
    part = None if context.request is None else context.request.phase
    config: Mapping[str, Any] = replace(plan, phase=part).to_dict()
    folder.lock()
    try:
        write_text(context.folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
        with Interruption() as interruption:
            try:
                with interruption.at_once():
                    yield
            except (Exception, Interrupted):
                if not interruption.signal:
                    raise
                raise InterruptedRunError.by_signal(
                    interruption.signal,
                    f"stopped in the phase {part.name if part else context.folder.name}",
                    remedy=f"go on with: visus train --resume {context.folder}",
                ) from None
    except VisusError as error:
        folder.log(f"ended: {error.problem}")
        raise
    finally:
        folder.close()
