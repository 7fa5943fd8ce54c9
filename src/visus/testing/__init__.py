"""Batteries of checks for networks, values, tasks and data formats, also for those written outside of visus.

``check_format``, ``check_value``, ``check_network`` and ``check_task`` run all checks of their kind and raise a
:class:`~visus.testing.conformance.ConformanceError` at the first that fails. For one test a check, parametrise over
``FORMAT_CHECKS``, ``VALUE_CHECKS``, ``NETWORK_CHECKS`` and ``TASK_CHECKS``.

``compare_networks`` judges whether a network is the same as another program of it, without any table of names;
``build_from_facts`` is such a program: it builds published networks from the facts about them alone.
"""

from __future__ import annotations

from typing import Any

_HOMES = {
    "ConformanceError": "visus.testing.conformance",
    "FORMAT_CHECKS": "visus.testing.formats",
    "FormatCase": "visus.testing.formats",
    "NETWORK_CHECKS": "visus.testing.networks",
    "NetworkCase": "visus.testing.networks",
    "TASK_CHECKS": "visus.testing.tasks",
    "TaskCase": "visus.testing.tasks",
    "VALUE_CHECKS": "visus.testing.values",
    "ValueCase": "visus.testing.values",
    "check_format": "visus.testing.formats",
    "check_network": "visus.testing.networks",
    "check_task": "visus.testing.tasks",
    "check_value": "visus.testing.values",
    "Judgement": "visus.analysis.judgement",
    "build_from_facts": "visus.proof.wired_network",
    "compare_networks": "visus.analysis.judgement",
}
"""Public name -> the module that defines it; torch is loaded only where a check needs it."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'visus.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
