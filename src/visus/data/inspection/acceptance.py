"""Lets a person accept that more is lost than the shares allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from visus.data.dataset import Finding
from visus.errors import UsageError


def accepted(findings: Sequence[Finding], kinds: Sequence[str]) -> list[Finding]:
    """The findings, of which those of the accepted kinds stop a training no more.

    Args:
        findings: of a data set.
        kinds: names of findings that are accepted.

    Raises:
        UsageError: if a kind is none of the findings that may be accepted.
    """
    for kind in kinds:
        if not any(finding.kind == kind and finding.acceptable for finding in findings):
            offered = [finding.kind for finding in findings if finding.acceptable]
            raise UsageError(
                f"there is no finding {kind} that can be accepted",
                expected=" or ".join(dict.fromkeys(offered)) or "nothing to accept: no share of the data is too large",
                got=kind,
                remedy="leave --accept away, or name a finding that visus data check shows as one that may be accepted",
            )
    return [
        replace(finding, severity="repair", message=f"{finding.message}; accepted", acceptable=False)
        if finding.kind in kinds and finding.acceptable
        else finding
        for finding in findings
    ]
