"""Holds a training that goes on to the data that it began with.

A run folder keeps a record of its data (``data.json.gz``). Going on with other data without a word would train one half
with the labels of today and the other with those of yesterday.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from visus.data.reading.data_record import DataRecord, changes
from visus.data.reading.fingerprint import fingerprint
from visus.engine.disk import write_bytes
from visus.engine.progress import Progress
from visus.engine.run_folder import RunFolder
from visus.errors import DataError, WeightsError
from visus.files.regular import GIB, is_regular, read_regular
from visus.workflow.plan import Preparation

RECORD = "data.json.gz"


def write_record(folder: Path, prepared: Preparation) -> None:
    """Records the data of a training in its run folder; raises DiskError if that cannot be written."""
    _write(folder, DataRecord.of(prepared.dataset))


def recorded_fingerprint(folder: Path, prepared: Preparation) -> str:
    """The fingerprint of a training's data, from the record of its run folder where there is one."""
    record = _read(folder)
    return fingerprint(prepared.dataset) if record is None else record.fingerprint


def require_same_data(
    folder: RunFolder, prepared: Preparation, *, allowed: bool, progress: Progress, earlier: Path | None = None
) -> None:
    """Compares the data with those that a training began with; where a change is allowed, the run's log has it.

    Args:
        folder: of the run.
        prepared: the data as they are now.
        allowed: whether the training may go on with changed data.
        progress: tells people what has changed.
        earlier: the folder of the phase before a phase that begins: its data count, as far as it has a record.

    Raises:
        DataError: if the data have changed and that is not allowed, or there are more or fewer classes.
    """
    began, after = earlier or folder.path, DataRecord.of(prepared.dataset)
    before = _read(began)
    if before is None:
        found = [] if earlier else _since_the_model(began, after)
    else:
        found = changes(*(_data_alone(record, prepared) if earlier else record for record in (before, after)))
        _require_count(began, prepared, before)
    if found and not allowed:
        raise DataError(
            f"the data of {began} have changed since its training began",
            expected=f"the data that it began with: {prepared.plan.data}",
            got="; ".join(found),
            remedy="bring the earlier data back; go on with these by --allow-changed-data; or train from the start: "
            f"visus train --config {began / 'config.yaml'}",
        )
    for line in found:
        progress.say(f"the data have changed: {line}")
        folder.log(f"goes on with changed data: {line}")
    if earlier is None and (found or before is None):
        _write(folder.path, after)


def _data_alone(record: DataRecord, prepared: Preparation) -> DataRecord:
    """The record without proposals, if phases of the training make some for others: these are no data."""
    phase = prepared.plan.phase
    own = phase is not None and any(part.card.given for part in (*phase.earlier, phase))
    return replace(record, proposals="") if own else record


def _require_count(folder: Path, prepared: Preparation, before: DataRecord) -> None:
    task = prepared.plan.task
    old, new = before.classes.get(task, ()), prepared.classes
    if len(old) != len(new):
        raise DataError(
            f"the data of {folder} have another number of classes since its training began",
            expected=f"{len(old)}: {', '.join(old)}",
            got=f"{len(new)}: {', '.join(new)}",
            remedy="bring the earlier data back, or train from the start: "
            f"visus train --config {folder / 'config.yaml'}",
        )


def _since_the_model(folder: Path, after: DataRecord) -> list[str]:
    """What is known to have changed of a run without a record: it began in an earlier version of visus."""
    from visus.engine.model_file import read_info

    try:
        known = read_info(folder).data_fingerprint if is_regular(folder / "model.safetensors") else ""
    except WeightsError:
        known = ""  # a damaged model file is written anew at the end
    return ["their fingerprint is another one"] if known and known != after.fingerprint else []


def _read(folder: Path) -> DataRecord | None:
    """The record in a run folder; None where there is none."""
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        return DataRecord.from_bytes(read_regular(path, limit=GIB, expected="the record of a training's data"))
    except DataError as error:
        raise DataError(
            f"{path} is damaged, so that nobody knows which data the training began with",
            expected=error.expected,
            got=error.got,
            remedy=f"remove {path} if the data are the same",
        ) from None


def _write(folder: Path, record: DataRecord) -> None:
    write_bytes(folder / RECORD, record.to_bytes())
