"""A running server of fakes with short limits, and encoded pictures."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="pip install 'visus[serve]'")

from served_fakes import SHORT, FakeModel, Running


@pytest.fixture(scope="session")
def running() -> Running:
    """A server in a thread; ``running.models`` are its fakes."""
    models = {"grey": FakeModel(), "cells": FakeModel("instance_segmentation"), "parts": FakeModel("segmentation")}
    return Running(models, SHORT)
