"""Checks a data set for errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visus.data.dataset import Dataset, Finding
from visus.errors import UsageError
from visus.workflow.folders import make_folder

_MARK = {"stop": "STOPS A TRAINING", "repair": "repaired", "note": "note"}


@dataclass(frozen=True, slots=True)
class DataCheck:
    """The findings of a data set; prints as a list, worst first."""

    dataset: Dataset
    task: str | None
    findings: tuple[Finding, ...]

    @property
    def stops(self) -> list[Finding]:
        """The findings that stop a training."""
        return [finding for finding in self.findings if finding.severity == "stop"]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "name": self.dataset.name,
            "format": self.dataset.format,
            "tasks": list(self.dataset.tasks),
            "classes": {task: list(names) for task, names in self.dataset.classes.items()},
            "splits": {name: len(samples) for name, samples in self.dataset.splits.items()},
            "made_splits": list(self.dataset.made_splits),
            "account": self.dataset.ledger.to_dict(),
            "findings": [finding.to_dict() for finding in self.findings],
            "can_train": not self.stops,
        }

    def __str__(self) -> str:
        lines = [f"{self.dataset.name}: {self.dataset.describe(self.task)}" if self.task else self.dataset.name]
        if self.task and len(self.dataset.tasks) > 1:
            lines.append(f"its labels allow: {', '.join(self.dataset.tasks)}")
        if self.dataset.ledger.found:
            lines.append(str(self.dataset.ledger))
        for finding in sorted(self.findings, key=lambda f: ("stop", "repair", "note").index(f.severity)):
            lines.append(f"[{_MARK[finding.severity]}] {finding.message}")
            lines += [f"    to go on without them: --accept {finding.kind}"] if finding.acceptable else []
            lines += [f"    {example}" for example in finding.examples]
            if finding.count > len(finding.examples) > 0:
                lines.append(f"    and {finding.count - len(finding.examples)} more")
        lines.append("nothing was found" if not self.findings else "")
        lines.append("this data set cannot be trained on yet" if self.stops else "ready to train")
        return "\n".join(line for line in lines if line)


def check_data(
    data: str | Path,
    *,
    task: str | None = None,
    format: str | None = None,
    crowds: str | None = None,
    accept: Sequence[str] = (),
    report: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DataCheck:
    """Reads every image and label of a data set and lists all errors.

    Args:
        data: folder, file or name.
        task: one of the data's, such as "segmentation"; None: the data's own.
        format: the reader, when two could read it.
        crowds: what becomes of objects that are marked as crowds or difficult, as in :func:`train`.
        accept: findings of which more may be lost than is usual, such as "missing-image"; they stop no more.
        report: also write an HTML page to this file.
        progress: called with how many images are looked at, and how many there are.

    Raises:
        DataError: if the data cannot be opened at all.
        UsageError: if what is accepted is no such finding; for a report of data without labels.
    """
    from visus.data.inspection.acceptance import accepted
    from visus.data.inspection.checks import check, left_out
    from visus.data.reading.opening import open_data

    dataset = open_data(data, task=task, format=format, task_options={"crowds": crowds} if crowds else {})
    task_name = dataset.choose_task(task) if dataset.tasks or task else None
    findings = tuple(accepted(check(dataset, task_name, progress=progress), accept))
    dataset = replace(dataset, ledger=dataset.ledger.without("image files", left_out(findings)))
    if report is not None and task_name is None:
        raise UsageError(
            f"a report shows labels, and {dataset.name} has none",
            expected="data with labels, or a task without any, such as generation",
            got=f"--report {report}",
            remedy="leave out --report, or name the task",
        )
    if report is not None and task_name is not None:
        from visus.report.data_page import write_data_report

        make_folder(Path(report).parent)
        write_data_report(Path(report), dataset, task_name, findings)
    return DataCheck(dataset=dataset, task=task_name, findings=findings)
