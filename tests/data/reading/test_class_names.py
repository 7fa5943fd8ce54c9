"""Classes whose names differ only in upper case are told, whatever format they come from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from visus.data.reading.class_names import name_findings
from visus.data.reading.opening import open_data


def test_names_that_differ_only_in_upper_case_spaces_or_hyphens() -> None:
    (finding,) = name_findings({"detection": ("Cat", "cat", "dog", "traffic light", "traffic_light")})
    assert (finding.kind, finding.severity, finding.count) == ("classes-alike", "note", 2)
    assert finding.message.endswith(": Cat and cat; traffic light and traffic_light")
    assert name_findings({"detection": ("cat", "dog"), "segmentation": ("background", "cat", "dog")}) == []
    assert name_findings({}) == []


def test_every_reader_tells_it(tmp_path: Path) -> None:
    for seed, kind in enumerate(("Cat", "cat")):
        (tmp_path / kind).mkdir()
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / kind / "1.png")
    assert "classes-alike" in [finding.kind for finding in open_data(tmp_path).findings]


def test_halves_of_characters_stop_before_a_report_must_be_written() -> None:
    (finding,) = name_findings({"detection": ("cat", json.loads('"\\ud83d"'))})
    assert (finding.kind, finding.severity, finding.examples) == ("unwritable-name", "stop", ("'\\ud83d'",))
