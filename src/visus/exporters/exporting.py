"""Exports a network: traces it, writes it to a file beside its place, checks that, and only then puts it there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from visus.engine.disk import write_atomically, write_text
from visus.engine.exported_card import ExportedCard, ExportedInput
from visus.engine.model_card import ModelInfo
from visus.errors import ExportError, ShapeError, VisusError, WeightsError
from visus.exporters.check import Check, check
from visus.exporters.difference import find_difference
from visus.exporters.images import check_batches, of_size
from visus.exporters.network import Exportable
from visus.exporters.onnx_file import (
    OPSET,
    meaning,
    metadata_bytes,
    onnx_bytes,
    output_shapes,
    require_onnx,
    trace,
)
from visus.exporters.sizes import (
    Size,
    SizeChoice,
    chosen_size,
    fixed_in_graph,
    free_input,
    refusal,
    require_takes,
    suggested_step,
)
from visus.runtimes.runtime import open_runtime
from visus.structures import Sample

CHECK_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, or checked again.

    Args:
        file: its path.
        report: the path of what the check gave, as JSON; None where that was not written.
        card: what the file says of itself.
        check: of the file.
        notes: what a person should know of it.
    """

    file: Path
    report: Path | None
    card: ExportedCard
    check: Check
    notes: tuple[str, ...] = ()


def export_onnx(
    network: Exportable,
    path: Path,
    *,
    choice: SizeChoice = None,
    samples: Sequence[Sample],
    made: bool,
    weights_sha256: str,
    find: bool = False,
) -> Exported:
    """Writes an ONNX file with its card, and beside it what its check gave.

    Args:
        network: what leaves.
        path: of the file; its folder must exist.
        choice: (height, width) of the images, "any", or None for what the model's preprocessing says.
        samples: the images of the check.
        made: whether they were made up.
        weights_sha256: of the model file.
        find: say layer by layer where outputs part, if they do.

    Raises:
        ShapeError: if the network does not take images of that size, or cannot have a free size.
        ExportError: if it cannot be traced, or the file answers otherwise than the network; nothing is written then.
        MissingExtraError: if a package is missing.
        DiskError: if the file cannot be written; an older file is then untouched.
    """
    require_onnx()
    info, given, proofs, traced, notes = _plan(network, choice)
    network = replace(network, info=info)
    try:
        program = _traced(network, given, traced)
    except ShapeError as error:
        # Poolings that round up, for one, are other ones at odd sides: then only multiples are free.
        info, given, proofs, traced, notes = _plan(network, choice, suggested_step(str(error.__cause__)))
        if given.multiple == 1:
            raise
        program = _traced(network, given, traced)
    if given.size is None and (reason := fixed_in_graph(program)):
        raise refusal(info, reason)
    names = _names(network, traced)
    shapes = dict(zip(names, output_shapes(program), strict=True))
    content = onnx_bytes(program, given, names)
    del program
    kind = network.reader.kind
    card = ExportedCard(
        info=info,
        reader=network.reader.to_dict(),
        outputs={name: meaning(kind, shape) for name, shape in shapes.items()},
        input=given,
        opset=OPSET,
        weights_sha256=weights_sha256,
        visus_version=version("visus"),
    )
    batches = check_batches(info, network.task, samples, given, proofs, tiled=is_tiled(network))
    found: list[Check] = []

    def fill(file: BinaryIO) -> None:
        file.write(content)
        file.flush()
        try:
            runtime = open_runtime(file.name)
        except WeightsError as error:
            raise ExportError(
                f"onnxruntime cannot read the ONNX file of {info.model}: it was not written",
                expected="a file of operators that the runtime knows",
                got=error.got,
                remedy="export it at another size, or predict with the run itself",
            ) from None
        checked = check(network, runtime.run, card, batches, made=made)
        problem = f"the ONNX file of {info.model} answers otherwise than the network: it was not written"
        _require_passed(checked, network, Path(file.name), batches, given, find=find, problem=problem)
        found.append(checked)
        file.write(metadata_bytes(replace(card, check=checked.to_dict()).to_metadata()))

    write_atomically(path, fill, size=len(content))
    checked = found[0]
    card = replace(card, check=checked.to_dict())
    report = path.with_suffix(".check.json")
    names_of_images = [] if made else [str(sample.image.path or sample.id) for sample in samples[: checked.images]]
    write_text(report, _report_text(path, card, checked, names_of_images))
    return Exported(path, report, card, checked, notes)


def check_again(
    network: Exportable, path: Path, samples: Sequence[Sample], *, made: bool, weights_sha256: str, find: bool = False
) -> Exported:
    """Compares a file that was exported before with the network it was made of, in the runtime that is installed now.

    Raises:
        WeightsError: if the file is missing, foreign or damaged.
        ExportError: if it was made of other weights, or answers otherwise than the network.
    """
    file = open_runtime(path)
    card = ExportedCard.from_metadata(file.metadata, str(path))
    card.require_graph(file.inputs, file.outputs, str(path))
    if card.info.model != network.info.model or card.weights_sha256 != weights_sha256:
        raise ExportError(
            f"{path} was exported from other weights",
            expected=f"{network.info.model}, weights {weights_sha256[:12]}",
            got=f"{card.info.model}, weights {card.weights_sha256[:12]}",
            remedy="export it again, or name the run that it was exported from",
        )
    network = replace(network, info=card.info)
    size = card.info.example_size
    proofs = () if card.input.size else (card.input.fitting((1, size[1])), card.input.fitting((size[0], 1)))
    batches = check_batches(card.info, network.task, samples, card.input, proofs, tiled=is_tiled(network))
    checked = check(network, file.run, card, batches, made=made)
    problem = f"{path} answers otherwise than {network.info.model} in PyTorch"
    _require_passed(checked, network, path, batches, card.input, find=find, problem=problem)
    return Exported(path, None, card, checked)


def is_tiled(network: Exportable) -> bool:
    """Whether the reader shows the network an image of any size in tiles of sizes that it takes."""
    return hasattr(network.reader, "rule")


def _plan(
    network: Exportable, choice: SizeChoice, step: int = 1
) -> tuple[ModelInfo, ExportedInput, tuple[Size, ...], Size, tuple[str, ...]]:
    """The card of the file's model, its input, the sizes to prove it at, the size to trace it at, and notes."""
    info = network.info
    size = chosen_size(choice, info, tiled=is_tiled(network))
    if size is None:
        try:
            given, proofs, traced = free_input(network.module.network, info, step)
        except ShapeError as error:
            if choice == "any":
                raise
            raise ShapeError(
                f"{info.model} takes images of different sizes, but its file can have one size only",
                expected="one size of all images",
                got=error.got,
                remedy=error.remedy + ", to which images are then scaled",
            ) from None
        return info, given, proofs, traced, ()
    require_takes(network.module.network, info, size)
    way, notes = info.preprocessing, []
    if not is_tiled(network) and way.size != size:
        if way.fit in ("none", "shorter_side"):
            way = replace(way, fit="letterbox")
            notes.append(f"images are scaled into {size[0]} x {size[1]}; in training their sizes differed")
        else:
            notes.append(f"images come in {size[0]} x {size[1]}; the model's own are {_words(way.size)}")
        info = replace(info, preprocessing=replace(way, size=size))
    return info, ExportedInput(size), (), size, tuple(notes)


def _traced(network: Exportable, given: ExportedInput, size: Size) -> Any:
    info = network.info
    try:
        return trace(network.module, given, info.in_channels, size)
    except VisusError:
        raise
    except Exception as error:  # of torch's tracing, which has many classes
        reason = _reason(error)
        if given.size is None:
            raise refusal(info, reason) from error
        raise ExportError(
            f"{info.model} cannot be traced for an export",
            expected="a network of operators that can leave",
            got=reason,
            remedy="predict with the run itself",
        ) from error


def _reason(error: Exception) -> str:
    """The first line of an error; of a dimension that cannot be free, which one."""
    fixed = re.search(r"marked (\w+) as dynamic but your code specialized it to be a constant \((\d+)\)", str(error))
    if fixed is not None:
        return f"its layers make a constant of the {fixed[1]}: {fixed[2]}, as in the tracing"
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def _names(network: Exportable, size: Size) -> list[str]:
    import numpy as np

    return list(network.run(np.zeros((1, network.info.in_channels, *size), np.float32)))


def _require_passed(
    checked: Check,
    network: Exportable,
    path: Path,
    batches: Sequence[Any],
    given: ExportedInput,
    *,
    find: bool,
    problem: str,
) -> None:
    if checked.passed:
        return
    got = "; ".join(checked.faults())
    if find:
        image = batches[0][:1]
        got += f"; {_parting(network, path, of_size(image, given.fitting((image.shape[2], image.shape[3]))))}"
    if given.size is None and not find:
        remedy = "export it for one size, or see where it parts with --find-difference"
    elif find:
        remedy = "export it at another size, or predict with the run itself"
    else:
        remedy = "see layer by layer where it parts: --find-difference"
    raise ExportError(
        problem,
        expected="the same answers, and outputs within 0.05 % of their largest value",
        got=got,
        remedy=remedy,
    )


def _parting(network: Exportable, path: Path, images: Any) -> str:
    try:
        return str(find_difference(network, path, images))
    except Exception as error:  # of the runtime, on a file that is known to be wrong
        return f"where they part cannot be found: {str(error).strip().splitlines()[-1][:200]}"


def _report_text(path: Path, card: ExportedCard, checked: Check, images: Sequence[str]) -> str:
    values: Mapping[str, Any] = {
        "format": CHECK_FORMAT,
        "file": path.name,
        "model": card.info.model,
        "task": card.info.task,
        **checked.to_dict(),
        "compared": list(images),
        "versions": versions(),
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def versions() -> dict[str, str]:
    """What computed the check."""
    return {name: version(name) for name in ("visus", "torch", "onnx", "onnxscript", "onnxruntime")}


def _words(size: Size | None) -> str:
    return "their own size" if size is None else f"{size[0]} x {size[1]}"
