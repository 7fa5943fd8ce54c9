"""Several workers count into one file, and what one has counted outlives it."""

from __future__ import annotations

import tempfile

from visus.server.metrics import Metrics


def test_workers_are_summed_and_a_new_one_goes_on_where_its_row_was() -> None:
    with tempfile.TemporaryFile() as file:
        first, second = (Metrics(["a", "b"], workers=2, row=row, file=file.fileno()) for row in (0, 1))
        first.request("/predict", 200, 0.02)
        second.request("/predict", 200, 0.3)
        second.images("b", "answered", 4)
        again = Metrics(["a", "b"], workers=2, row=1, file=file.fileno())
        again.images("b", "answered", 1)
        lines = first.text().splitlines()
    assert 'visus_requests_total{path="/predict",code="200"} 2' in lines
    assert 'visus_request_seconds_bucket{path="/predict",le="0.025"} 1' in lines
    assert 'visus_request_seconds_bucket{path="/predict",le="+Inf"} 2' in lines
    assert 'visus_request_seconds_sum{path="/predict"} 0.32' in lines
    assert 'visus_images_total{model="b",outcome="answered"} 5' in lines
    assert "visus_workers 2" in lines


def test_every_line_is_one_that_prometheus_reads() -> None:
    metrics = Metrics(["model@paper+x.y"])
    metrics.request("/explain", 418, 99)
    metrics.refused("unheard-of")
    metrics.batch("model@paper+x.y", 100)
    kinds = {}
    for line in metrics.text().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            kinds[name] = kind
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            float(value)
            base = name.split("{")[0]
            assert base in kinds or base.rsplit("_", 1)[0] in kinds, line
    assert kinds["visus_request_seconds"] == "histogram"
    assert 'visus_requests_total{path="/explain",code="400"} 1' in metrics.text()
