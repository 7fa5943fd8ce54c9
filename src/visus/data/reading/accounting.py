"""Judges what readers did not use: how much was lost is a question for one place, whatever the cause.

- *Accounting.* What went in is compared with what the samples hold and with what the reader says that it lost; a
  difference that nothing explains is a finding of its own.
- *A share.* Up to a small share may be lost and is left out ("repair"); more stops a training ("stop"). The shares
  are asked overall, of each split and of each class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.dataset import Finding, Ledger, Severity
from visus.data.formats.folders.folder_samples import FolderSamples
from visus.data.formats.listing import Listing
from visus.data.formats.masks.class_lists import CLASS_FILES
from visus.data.formats.reading import ALL, Account, Loss, Reading, Unit
from visus.data.formats.stated_splits import may_list_split
from visus.data.messages import counted, with_count
from visus.data.pixels.image_kinds import ADVICE, IMAGE_SUFFIXES, UNREAD_IMAGES, suffix_of
from visus.data.pixels.images import FileImage
from visus.data.reading.class_names import name_findings
from visus.data.reading.foreign_files import recognise_tool
from visus.structures import Sample

LOST_IMAGES = 0.01
"""More than this share of the images (rows, label files) of a data set or split must not be lost; one always may be."""

LOST_OBJECTS = 0.05
"""More than this share of the objects (lines, points) of a data set, split or class must not be lost; one may be."""

CHANGED = 0.5
"""More than this share of the objects must not be changed: then the numbers are likely of another kind; up to
:data:`CHANGED_ALWAYS` may be."""

CHANGED_ALWAYS = 3

_SHARES: Mapping[Unit, float] = {
    "image files": LOST_IMAGES,
    "label files": LOST_IMAGES,
    "rows": LOST_IMAGES,
    "objects": LOST_OBJECTS,
    "lines": LOST_OBJECTS,
    "points": LOST_OBJECTS,
}
"""From unit to the share that may be lost; columns and keys that are not used are only named."""


def too_many(lost: int, total: int, share: float) -> bool:
    """Whether so many of ``total`` things are lost that something is wrong with the data as a whole."""
    return lost > max(1, share * total) or (lost > 0 and lost >= total)


def account_for(reading: Reading, listing: Listing) -> tuple[Ledger, tuple[Finding, ...]]:
    """The ledger of a reading, and its findings with those about what was lost, the worst first."""
    account = reading.account
    used = _used(reading.splits)
    withheld = withheld_tasks(reading)
    findings = [
        *reading.findings,
        *(_judge(loss, account, used) for loss in account.losses if not withheld.keys() & loss.tasks),
    ]
    findings += _judge_together(account, used, findings)
    files = _Files(reading, listing)
    findings += files.findings()
    findings += name_findings(reading.classes)
    ledger = _ledger(account, used, files)
    ledger, unexplained = _balanced(ledger, used)
    findings += unexplained
    order = ("stop", "repair", "note")
    return ledger, tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def withheld_tasks(reading: Reading) -> dict[str, str]:
    """The tasks for which too much of the data cannot be used, each with the reason."""
    account = reading.account
    used = _used(reading.splits) if any(loss.tasks for loss in account.losses) else None
    withheld: dict[str, str] = {}
    for loss in account.losses:
        share = _SHARES.get(loss.unit)
        if used is None or share is None or not loss.tasks:
            continue
        for where, lost, total in _groups(loss, account, used):
            if too_many(lost, total, share):
                message = with_count(loss.message, loss.count)
                first = f"; the first is in {loss.examples[0]}" if loss.examples else ""
                reason = f"{message} ({lost:,} of {total:,}{where}){first}"
                withheld |= dict.fromkeys(loss.tasks, f"{reason}; {loss.cause}" if loss.cause else reason)
                break
    return withheld


@dataclass(frozen=True, slots=True)
class _Used:
    """What the samples hold: images by split, and objects by (split, class name); None where no count is known."""

    images: Counter[str]
    objects: Counter[tuple[str, str]] | None


def _used(splits: Mapping[str, Sequence[Sample]]) -> _Used:
    images = Counter({split: _labelled(samples) for split, samples in splits.items()})
    objects: Counter[tuple[str, str]] = Counter()
    known = False
    for split, samples in splits.items():
        if isinstance(samples, FolderSamples):
            continue
        found: dict[tuple[str, ...], list[NDArray[np.int64]]] = {}
        for sample in samples:
            target: Any = sample.targets.get("detection")
            labels = getattr(target, "labels", None)  # known to most sources without reading a file
            if labels is not None:
                found.setdefault(target.classes, []).append(labels)
        for classes, parts in found.items():
            known = True
            counts = np.bincount(np.concatenate(parts), minlength=len(classes))
            objects.update({(split, name): number for name, number in zip(classes, counts.tolist(), strict=True)})
    return _Used(images, objects if known else None)


def _labelled(samples: Sequence[Sample]) -> int:
    """How many samples have a target; all of them, where none has one."""
    if isinstance(samples, FolderSamples):
        return len(samples)
    return sum(bool(sample.targets) for sample in samples) or len(samples)


def _judge(loss: Loss, account: Account, used: _Used) -> Finding:
    share = _SHARES.get(loss.unit)
    severity: Severity = "note" if share is None else "repair"
    ending = ""
    if share is not None:
        limit = CHANGED if loss.changed else share
        for where, lost, total in _groups(loss, account, used):
            if too_many(lost, total, limit) and (lost > CHANGED_ALWAYS or not loss.changed):
                severity = "stop"
                verb = "changed" if loss.changed else "lost"
                ending = f": {lost:,} of {total:,} {loss.unit}{where} would be {verb}"
                ending += f"; {loss.cause}" if loss.cause else ""
                break
        else:
            ending = "; repaired" if loss.changed else "; left out"
            ending += f" of {' and '.join(loss.tasks)}" if loss.tasks else ""
    message = with_count(loss.message, loss.count) + ending
    return Finding(loss.kind, severity, message, loss.count, tuple(loss.examples), acceptable=severity == "stop")


def _judge_together(account: Account, used: _Used, findings: Sequence[Finding]) -> list[Finding]:
    """The finding that several reasons together cost too much, where none of them does alone."""
    together = []
    for unit in _SHARES:
        parts = [loss for loss in account.losses if loss.unit == unit and not loss.changed and not loss.tasks]
        stopped = {finding.kind for finding in findings if finding.severity == "stop"}
        if len(parts) < 2 or any(loss.kind in stopped for loss in parts):
            continue
        message = f"{{count}} {unit} are lost for {len(parts)} reasons together"
        whole = Loss("lost-together", unit, message, count=sum(loss.count for loss in parts))
        for loss in parts:
            for group, count in loss.groups.items():
                whole.groups[group] = whole.groups.get(group, 0) + count
        finding = _judge(whole, account, used)
        if finding.severity == "stop":
            together.append(finding)
    return together


def _groups(loss: Loss, account: Account, used: _Used) -> list[tuple[str, int, int]]:
    """(where, lost, total) of the whole data set, of each split and of each class; totals hold all losses' things."""
    whole, splits, labels = 0, Counter[str](), Counter[str]()
    if loss.unit == "image files":
        splits = Counter(used.images)
    elif loss.unit == "objects" and used.objects is not None:
        for (split, label), count in used.objects.items():
            splits[split] += count
            labels[label] += count
    whole = splits.total()
    for other in account.losses:
        if other.unit == loss.unit and not other.changed and not other.tasks:
            whole += other.count
            for (split, label), count in other.groups.items():
                splits[split] += count
                labels[label] += count
    whole = max(whole, account.found.get(loss.unit, 0))
    lost_in, lost_of = Counter[str](), Counter[str]()
    for (split, label), count in loss.groups.items():
        lost_in[split] += count
        lost_of[label] += count
    groups = [("", loss.count, whole)]
    if not loss.changed and loss.unit in ("image files", "objects"):  # of others only the sum is known
        groups += [(f" of {s}", n, splits[s]) for s, n in lost_in.items() if s not in ("", ALL)]
        groups += [(f" of class {c}", n, labels[c]) for c, n in lost_of.items() if c]
    return groups


def _ledger(account: Account, used: _Used, files: _Files) -> Ledger:
    found: dict[str, int] = {"image files": files.images_found or used.images.total()}
    left: dict[str, dict[str, int]] = {}
    for loss in account.losses:
        if not loss.changed and not loss.tasks:
            left.setdefault(loss.unit, {})[loss.kind] = loss.count
    if files.unused_images:
        left.setdefault("image files", {})["unused-image"] = len(files.unused_images)
    missing = left.get("image files", {}).get("missing-image", 0)
    found["image files"] += missing
    found |= {str(unit): count for unit, count in account.found.items() if unit != "image files"}
    if used.objects is not None:
        found.setdefault("objects", used.objects.total() + sum(left.get("objects", {}).values()))
    for name, reasons in left.items():
        found.setdefault(name, sum(reasons.values()))
    return Ledger(found, left)


def _balanced(ledger: Ledger, used: _Used) -> tuple[Ledger, list[Finding]]:
    """Adds what no reason explains to a ledger, and says it."""
    counted = {"objects": used.objects.total()} if used.objects is not None else {}
    left = {unit: dict(reasons) for unit, reasons in ledger.left.items()}
    findings = []
    for unit, count in counted.items():
        difference = ledger.used(unit) - count
        if difference:
            left.setdefault(unit, {})["not-accounted"] = difference
            message = f"{difference:,} {unit} were found, but are neither used nor named in another finding"
            severity: Severity = "stop" if too_many(abs(difference), ledger.found[unit], LOST_OBJECTS) else "note"
            findings.append(Finding("not-accounted", severity, message, abs(difference)))
    return Ledger(ledger.found, left), findings


_LABEL_SUFFIXES = frozenset({".txt", ".xml", ".json", ".jsonl", ".csv", ".tsv", ".mat", ".parquet", ".npy", ".npz"})
_OF_NO_MATTER = frozenset(
    {".md", ".rst", ".pdf", ".html", ".htm", ".doc", ".docx", ".py", ".ipynb", ".sh", ".log", ".yaml", ".yml"}
    | {".cfg", ".ini", ".toml", ".zip", ".tar", ".gz", ".cache", ".names", ".data"}
)


def is_document(path: Path) -> bool:
    """Whether a file's name says that it describes the data set."""
    name = path.name.lower()
    return name in CLASS_FILES or name.startswith(("readme", "license", "licence", "changelog", "citation"))


def unused_lists(names: Sequence[str]) -> Finding:
    """The note that files seem to list the images of splits, but are not used."""
    message = "{count} files look like a split and are not used: move the images into train, val and test folders"
    return Finding.about("split-not-used", "note", message, (), names)


_MOST_LISTS = 12
_SHARED = "shared-labels"


def _same_names(images: Collection[Path]) -> list[Path]:
    """Images of one folder whose names differ in nothing but the suffix, without the first of each name."""
    first: dict[str, Path] = {}
    return [path for path in sorted(images) if first.setdefault(str(path.with_suffix("")), path) != path]


class _Files:
    """The files of a data set's folder that nothing uses."""

    def __init__(self, reading: Reading, listing: Listing) -> None:
        self.images_found = 0
        self.unused_images: list[str] = []
        self._unread: dict[str, list[str]] = {}
        self._others: dict[str, list[str]] = {}
        self._twins: list[Path] = []
        if listing.is_file:
            return
        folders = {
            part.folder
            for samples in reading.splits.values()
            if isinstance(samples, FolderSamples)
            for part in samples.parts
        }
        images = {
            sample.image.path
            for samples in reading.splits.values()
            if not isinstance(samples, FolderSamples)
            for sample in samples
            if isinstance(sample.image, FileImage)
        }
        if not images and not folders:
            return
        self._listing = listing
        self.images_found = len(images)
        told = any(finding.kind == _SHARED for finding in reading.findings)  # by a reader that knows the label files
        self._twins = _same_names(images) if reading.account.read and not told else []
        for folder in listing.folders_below(listing.root):
            if folder in folders:
                self.images_found += len(listing.image_names(folder))
                if listing.suffixes(folder) <= IMAGE_SUFFIXES:
                    continue
            for path in listing.files(folder):
                if path not in images and not (folder in folders and listing.is_image(path)):
                    self._sort(path, reading.account)

    def _sort(self, path: Path, account: Account) -> None:
        """Puts a file that is no sample's image to those that are told."""
        suffix, name = path.suffix.lower(), self._listing.name_of(path)
        if self._listing.is_image(path):
            self.images_found += path not in account.read
            if path not in account.read and path not in account.told:
                self.unused_images.append(name)
        elif (
            path in account.read
            or path in account.told
            or is_document(path)
            or (suffix in _OF_NO_MATTER and suffix_of(path) not in ADVICE)
        ):
            return
        elif suffix in _LABEL_SUFFIXES:
            self._unread.setdefault(suffix, []).append(name)
        else:
            self._others.setdefault(suffix_of(path) or "no suffix", []).append(name)

    def _unread_images(self) -> list[Finding]:
        """A stop where more than a small share of the photos cannot be read here, and has no copy that can."""
        alone: dict[str, list[str]] = {}
        beside: dict[Path, set[str]] = {}
        for suffix in sorted(UNREAD_IMAGES & self._others.keys()):
            for name in self._others[suffix]:
                path = self._listing.root / name
                if path.parent not in beside:
                    beside[path.parent] = {Path(other).stem for other in self._listing.image_names(path.parent)}
                if path.stem not in beside[path.parent]:
                    alone.setdefault(suffix, []).append(name)
        count = sum(map(len, alone.values()))
        if not too_many(count, self.images_found + count, LOST_IMAGES):
            return []
        kinds = "; ".join(f"{len(names):,} {suffix}: {ADVICE[suffix]}" for suffix, names in alone.items())
        images = counted(self.images_found + count, "images")
        message = f"{{count}} of {images} are of kinds that cannot be read here ({kinds})"
        return [Finding.about("unread-image", "stop", message, (), [name for part in alone.values() for name in part])]

    def findings(self) -> list[Finding]:
        """What is said of the files that nothing uses."""
        findings = []
        if self._twins:
            message = "{count} images have the name of another but for the suffix, and share its labels"
            findings.append(
                Finding.about(_SHARED, "note", message, (), [self._listing.name_of(path) for path in self._twins])
            )
        if self.unused_images:
            message = "{count} image files are in the folder, but in no label and no list; not used"
            findings.append(Finding.about("unused-image", "note", message, (), self.unused_images))
        for suffix, names in sorted(self._unread.items()):
            lists = [name for name in names if may_list_split(Path(name))]
            if 0 < len(lists) <= _MOST_LISTS:  # more are labels of images with such names
                findings.append(unused_lists(lists))
                names = [name for name in names if name not in set(lists)]
            if not names:
                continue
            tool = recognise_tool([self._listing.root / name for name in names[:3]])
            message = f"{{count}} {suffix} files are not read" + (f": {tool}" if tool else "")
            findings.append(Finding.about("file-not-read", "note", message, (), names))
        findings += self._unread_images()
        if self._others:
            kinds = "; ".join(
                f"{len(names):,} {suffix}" + (f": {ADVICE[suffix]}" if suffix in ADVICE else "")
                for suffix, names in sorted(self._others.items())
            )
            names = [name for part in self._others.values() for name in part]
            tool = recognise_tool([self._listing.root / part[0] for part in self._others.values()])
            message = f"{{count}} files are passed over ({kinds})" + (f": {tool}" if tool else "")
            findings.append(Finding.about("file-passed-over", "note", message, (), names))
        return findings
