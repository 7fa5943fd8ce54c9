"""Opens a data set by name, folder or file: finds its format, makes missing splits, and collects findings."""

from __future__ import annotations

import difflib
import os
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from visus.data.crowds import with_crowds
from visus.data.dataset import Dataset, Finding
from visus.data.formats.listing import Listing
from visus.data.formats.readers import all_formats
from visus.data.formats.reading import ALL, Format
from visus.data.formats.stated_splits import may_list_split
from visus.data.messages import with_count
from visus.data.object_separation import with_objects_separated
from visus.data.pixels.image_kinds import ADVICE, suffix_of
from visus.data.pixels.intensity import survey, with_intensity_range
from visus.data.reading.accounting import account_for, is_document, unused_lists, withheld_tasks
from visus.data.reading.foreign_files import recognise_tool, recognise_tool_below
from visus.data.reading.images import contents, path_of
from visus.data.reading.label_images import levels
from visus.data.reading.named import NAMED, open_named
from visus.data.reading.splits import FRACTIONS, split_samples
from visus.errors import DataError, UsageError, VisusError
from visus.structures import Sample
from visus.structures.extensions import load_object
from visus.structures.task_cards import TASKS, TaskCard, task_card

_DESCRIPTIONS = (".csv", ".tsv", ".json", ".jsonl", ".xml")
_ARCHIVES = frozenset({".tar", ".gz", ".tgz", ".zip", ".bz2", ".xz", ".7z", ".rar"})


def open_data(
    source: str | Path,
    *,
    task: str | None = None,
    format: str | None = None,
    seed: int = 0,
    task_options: Mapping[str, str] | None = None,
    least_classes: int | None = None,
    cache: Path | None = None,
) -> Dataset:
    """The data set of a name, a folder or a file.

    Args:
        source: a named data set ("digits", "mnist" ...; write "./digits" for a folder of that name), or the path of a
            folder, or of a file that describes one (CSV, COCO JSON, YOLO YAML, ``.npz``, an image).
        task: the task it is opened for; splits then hold only samples with a target for it. None: the default one.
            "localization" is offered by all data with boxes: the largest object of each image is its target.
        format: the format's name, where looking at the folder does not tell or tells two.
        seed: decides splits that the data do not give.
        task_options: choices of how the data are read for this task. Segmentation of data that know their objects has
            "touching": how touching ones stay apart, "gap", "border", "outline" or "merge" (see
            ``data.object_separation``); without it "gap" for instance maps, else "merge". Tasks of objects have
            "crowds": "ignore" objects marked as crowds or difficult, or take them as "objects" (see ``data.crowds``).
        least_classes: the fewest classes, which a test set for a trained model may lack; None: those that a training of
            the task needs.
        cache: the folder of named data sets; None: ``named.data_cache()``.

    Returns:
        The data set, which knows its images' channels and values, with splits as given, or made: 70 / 15 / 15 % where
        there are none, and 15 % of "train" as "val" where there is a "test" but no "val". A data set without labels
        has the splits that were given, or "predict".

    Raises:
        DataError: no such folder, an empty one, none or several formats, damaged labels, one class in classification.
        TaskMismatchError: if the labels do not allow the task.
        UsageError: if there is no format of this name, or a task option means nothing for these data and this task.
    """
    if isinstance(source, str) and source in NAMED and format is None:
        try:
            dataset = open_named(source, cache=cache)
        except DataError as error:
            if not Path(source).is_dir():
                raise
            remedy = f"write ./{source} for the folder {source}; or {error.remedy}"
            raise DataError(error.problem, expected=error.expected, got=error.got, remedy=remedy) from None
        if Path(source).is_dir():
            shadow = Finding(
                "named-data-set", "note", f"the named data set, not the folder {source}: write ./{source} for that", 1
            )
            dataset = replace(dataset, findings=(*dataset.findings, shadow))
    else:
        path = path_of(source)
        with _unforeseen(path):
            dataset = _open_path(path, format)
    if task is not None and task not in dataset.tasks:
        dataset = _with_task(dataset, task_card(task))
    if task is not None or dataset.tasks:
        task = dataset.choose_task(task)
        dataset = _with_targets(dataset, task) if task_card(task).supervised else dataset
    dataset = _with_task_options(dataset, task, task_options or {})
    if task is not None:
        _check_classes(dataset, task, least_classes)
    return _with_values(_split(dataset, task, seed))


def _with_task(dataset: Dataset, card: TaskCard) -> Dataset:
    """The data set with one more task, where the labels of others imply it or it needs no labels at all."""
    if card.derive:
        derived: Dataset = load_object(card.derive)(dataset)
        return derived
    if card.supervised or card.names:
        return dataset
    return replace(dataset, classes={**dataset.classes, card.name: ()})


def _with_task_options(dataset: Dataset, task: str | None, options: Mapping[str, str]) -> Dataset:
    """Applies the task's options to the data set; raises UsageError for an option that the task does not have."""
    known = () if task is None else task_card(task).options
    for name, value in options.items():
        if name not in known and value:
            knowing = " or ".join(card.name for card in TASKS if name in card.options)
            raise UsageError(
                f"{task or 'an unlabelled data set'} has no option {name}",
                expected=f"the task {knowing}" if knowing else ", ".join(known) or "no task options",
                got=f"{name}={value}",
                remedy=f"add --task {knowing}, or leave --{name} away" if knowing else f"leave {name} away",
            )
    if "crowds" in known:
        dataset = with_crowds(dataset, options.get("crowds"))
    return with_objects_separated(dataset, options.get("touching")) if "touching" in known else dataset


def _open_path(path: Path, format: str | None) -> Dataset:
    if not path.exists():
        raise _absent(path)
    listing, chosen = choose_format(path, format)
    reading = chosen.read(listing)
    if not any(reading.splits.values()):
        raise DataError(
            f"{path} holds no usable image in the format {chosen.name}",
            expected=chosen.title,
            got="; ".join(finding.message for finding in reading.findings) or contents(listing),
        )
    ledger, findings = account_for(reading, listing)
    withheld = withheld_tasks(reading)
    name = path.resolve().name if path.is_dir() else path.stem
    return Dataset(
        name=name,
        format=chosen.name,
        root=path,
        classes={task: names for task, names in reading.classes.items() if task not in withheld},
        splits=reading.splits,
        findings=(*findings, *_notes_of_opening(path, listing, chosen)),
        ledger=ledger,
        withheld=withheld,
    )


@contextmanager
def _unforeseen(path: Path) -> Iterator[None]:
    """Reports values that no reader expects as bad data, and not as a bug of visus."""
    try:
        yield
    except (VisusError, MemoryError):
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = str(path)
        raise DataError(
            f"{text if len(text) <= 300 else text[:300] + ' ...'} holds values that cannot be read",
            expected="label files as their tools write them",
            got=f"{type(error).__name__}: {error}"[:300] + f" ({os.path.basename(frame.filename)}:{frame.lineno})",
            remedy="check the newest label files; VISUS_DEBUG=1 shows the whole way to the error",
        ) from error


def choose_format(path: Path, format: str | None = None) -> tuple[Listing, Format]:
    """The listing that a reader is to read, and the reader's format.

    A folder that holds nothing but one folder is entered, as unpacked archives often ask for.

    Raises:
        DataError: if the folder is empty, no format recognises it, or more than one does.
        UsageError: if there is no format of the name ``format``.
    """
    forced = _by_name(format) if format is not None else None
    formats = all_formats()
    listings = levels(path)
    for listing in listings:
        candidates = [item for item in formats if not item.fallback and item.recognise(listing)]
        if forced:
            candidates = [forced] if forced.recognise(listing) else []
        if len(candidates) > 1:
            raise DataError(
                f"{path} can be read in more than one way",
                expected="one format",
                got=" or ".join(f"{item.name} ({item.title})" for item in candidates),
                remedy=f"choose with --format {candidates[0].name} or --format {candidates[1].name}",
            )
        if candidates:
            return listing, candidates[0]
    for listing in listings:
        rest = [forced] if forced else [item for item in formats if item.fallback]
        for item in rest:
            if (item.fallback and item.recognise(listing)) or (forced and item.force and item.force(listing)):
                return listing, item
        if _beside(listing):
            break  # the folder's files say more about the images in it than nothing
    raise _unrecognised(path, forced)


def _beside(listing: Listing) -> tuple[Path, ...]:
    """The files that may describe the images in a folder's only folder."""
    return listing.files_with(*_DESCRIPTIONS)


def _nearly(path: Path) -> list[str]:
    """Why a folder is not quite of the formats that it looks like, a line each."""
    return [
        f"{item.name}: {reason}"
        for listing in levels(path)
        for item in all_formats()
        if item.near is not None and (reason := item.near(listing))
    ]


def _unread_images(path: Path) -> list[str]:
    """What to do with files that may be images but cannot be read here, a line for each suffix."""
    listing = Listing(path)
    counts = Counter(suffix_of(file) for file in ((path,) if listing.is_file else listing.files_below(path)))
    return [
        with_count(f"{{count}} {suffix} files cannot be read here as images: ", count) + ADVICE[suffix]
        for suffix, count in counts.most_common()
        if suffix in ADVICE
    ]


def _notes_of_opening(path: Path, listing: Listing, chosen: Format) -> list[Finding]:
    """What was passed over to come to a listing: near misses of other formats, and files beside its folder."""
    notes = []
    if chosen.fallback and (near := _nearly(path)):
        message = "the folder looks like a labelled data set, but is not quite one: " + "; ".join(near)
        notes.append(Finding("nearly-recognised", "note", message, len(near)))
    outer = [level for level in levels(path) if level.root in listing.root.parents]
    own = filter(None, (level.left_out() for level in (*outer, listing)))
    notes += [Finding("own-folder", "note", sentence, 1) for sentence in own]
    texts = [file for level in outer for file in level.files_with(".txt") if not is_document(file)]
    if lists := [file.name for file in texts if may_list_split(file)]:
        notes.append(unused_lists(lists))
    beside = [file for level in outer for file in _beside(level)]
    beside += [file for file in texts if not may_list_split(file)]
    if beside:
        tool = recognise_tool(beside)
        message = with_count(f"{{count}} files beside the folder {listing.root.name} are not read", len(beside))
        message += f": {tool}" if tool else ""
        notes.append(Finding.about("file-not-read", "note", message, (), [file.name for file in beside]))
    return notes


def _by_name(name: str) -> Format:
    formats = all_formats()
    for item in formats:
        if item.name == name:
            return item
    raise UsageError(f"there is no format named {name}", expected=", ".join(item.name for item in formats), got=name)


def _absent(path: Path) -> DataError:
    near = difflib.get_close_matches(str(path), NAMED, n=1)
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near += difflib.get_close_matches(path.name, siblings, n=1)
    return DataError(
        f"there is no file or folder {path}",
        expected="a folder of data, a file, or one of the named data sets: " + ", ".join(NAMED),
        got=str(path),
        remedy=f"did you mean {near[0]}?" if near else "check the path",
    )


def _unrecognised(path: Path, forced: Format | None) -> DataError:
    listing = Listing(path)
    if not listing.is_file and not listing.files() and not listing.folders():
        return DataError(
            f"{path} is empty",
            expected="images and their labels",
            got=listing.left_out() or "an empty folder",
            remedy="check the path",
        )
    near = _nearly(path) + _unread_images(path)
    if forced:
        return DataError(
            f"{path} cannot be read as {forced.name}",
            expected=forced.title,
            got="; ".join(line for line in near if line.startswith(forced.name)) or contents(listing),
        )
    archives = [
        file.name for file in listing.files() if file.suffix.lower() in _ARCHIVES and suffix_of(file) not in ADVICE
    ]
    return DataError(
        f"{path} is not in a format that visus knows",
        expected="one of the formats " + ", ".join(item.name for item in all_formats()),
        got="; ".join(filter(None, [contents(listing), listing.left_out(), *near])),
        remedy=f"unpack {archives[0]} first"
        if archives
        else recognise_tool_below(listing) or "arrange it as one of these, such as a folder of images for each class",
    )


def _with_values(dataset: Dataset) -> Dataset:
    """The data set with its channels and range of values; images of more than 8 bits display with that range."""
    samples = dataset.splits.get("train") or next((part for part in dataset.splits.values() if part), ())
    values = survey(samples)
    splits = {name: with_intensity_range(part, values.value_range) for name, part in dataset.splits.items()}
    return replace(dataset, splits=splits, values=values)


def _with_targets(dataset: Dataset, task: str) -> Dataset:
    """The data set without the samples that have no target for the task."""
    left_out = [
        sample
        for samples in dataset.splits.values()
        if not (hasattr(samples, "covers") and samples.covers(task))
        for sample in samples
        if task not in sample.targets
    ]
    if not left_out:
        return dataset
    told = [sample.id for sample in left_out if sample.targets]  # of the others the reader has told
    kept = {split: [s for s in samples if task in s.targets] for split, samples in dataset.splits.items()}
    kept = {split: samples for split, samples in kept.items() if samples}
    if not kept:
        raise DataError(f"no image of {dataset.name} has a target for {task}", got=f"{len(left_out)} images without")
    findings = list(dataset.findings)
    if told:
        findings.append(
            Finding.about("no-target", "note", f"{{count}} images have no target for {task}; left out", told)
        )
    return replace(dataset, splits=kept, findings=tuple(findings))


def _check_classes(dataset: Dataset, task: str, least_classes: int | None) -> None:
    classes, card = dataset.classes[task], task_card(task)
    least = card.least_classes if least_classes is None else least_classes
    if card.names and len(classes) < least:
        raise DataError(
            f"{dataset.name} has one class only" if classes else f"{dataset.name} names no {card.names}",
            expected=f"at least {least} {card.names}",
            got=", ".join(classes) or "none",
            remedy="add a second class; if these images are not labelled, give their own folder instead",
        )


def _split(dataset: Dataset, task: str | None, seed: int) -> Dataset:
    """The data set with its missing splits made; see :func:`open_data`."""
    splits: Mapping[str, Sequence[Sample]] = dataset.splits
    if set(splits) == {"predict"} and task is not None and not task_card(task).supervised:
        splits = {ALL: splits["predict"]}  # images without labels are what such a task learns from
    if "predict" in splits:
        return dataset
    if ALL in splits or set(splits) == {"train"}:
        pool = [samples for samples in splits.values() if samples]
        whole = pool[0] if len(pool) == 1 else [sample for samples in pool for sample in samples]
        made = split_samples(whole, task, FRACTIONS, seed)
    elif "train" in splits and "test" in splits and "val" not in splits:
        made = split_samples(splits["train"], task, {"val": FRACTIONS["val"]}, seed)
    else:
        return dataset
    merged = {**splits, **made}
    ordered = {name: merged[name] for name in ("train", "val", "test") if merged.get(name)}
    return dataset.with_splits(ordered, tuple(name for name in ordered if name in made and name != "train"))
