"""Imports onnxruntime without what it leaves behind."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any


def import_onnxruntime() -> Any:
    """The package onnxruntime.

    Version 1.32 makes an identifier of the machine and a store of events for its maker in the home folder as it is
    imported, and ``disable_telemetry_events`` comes too late for that; see
    findings/onnxruntime_import_writes_a_device_id.sh.

    Raises:
        ImportError: if it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return import_module("onnxruntime")
