"""Models that answer without a network, and a server of them: as a process (``python served_fakes.py``) or a thread.

What they say depends on the pixels alone, so that a test can tell whose answer an image got.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from visus.errors import DataError
from visus.server.app import Service, make_app
from visus.server.limits import Limits
from visus.server.metrics import Metrics
from visus.server.running import address_of, listen, run
from visus.server.served import Served, served_by_name
from visus.structures import Detections, Heatmap, Label, Sample, SegmentationMap, Value
from visus.structures.masks import Masks

SHORT = Limits(
    body=300_000,
    bodies=900_000,
    images=4,
    pixels=40_000,
    waiting=6,
    batch=3,
    connections=12,
    header_seconds=1.5,
    body_seconds=1.5,
    request_seconds=5.0,
    write_seconds=1.5,
    grace_seconds=2.0,
)


def encoded(grey: int = 200, *, height: int = 8, width: int = 10, kind: str = "PNG") -> bytes:
    """An image file of one grey."""
    stream = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), grey, np.uint8)).save(stream, kind)
    return stream.getvalue()


CLASSES = {
    "classification": ("dark", "middle", "bright"),
    "detection": ("left", "right"),
    "instance_segmentation": ("left", "right"),
    "segmentation": ("background", "middle", "bright"),
}


@dataclass(frozen=True)
class Told:
    """The answer for one image."""

    value: Any
    error: DataError | None = None


@dataclass
class FakeModel:
    """Says what the brightness of an image tells it; takes ``seconds`` a batch, and notes the batches."""

    task: str = "classification"
    seconds: float = 0.0
    batches: list[list[str]] = field(default_factory=list)
    shown_score: float = 0.3
    fails: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES[self.task]

    @property
    def info(self) -> Any:
        return SimpleNamespace(
            task=self.task, model=f"fake_{self.task}@paper", preprocessing=SimpleNamespace(value_range=None)
        )

    def answers(self, samples: Sequence[Sample], *, batch_size: int = 16) -> Iterator[Told]:
        self.batches.append([sample.id for sample in samples])
        time.sleep(self.seconds)
        if self.fails:
            raise RuntimeError("the network is broken")
        for sample in samples:
            try:
                yield Told(self._value(sample.image.load()))
            except DataError as error:
                yield Told(None, error)

    def explain(self, image: Any, *, label: str | None = None) -> Heatmap:
        pixels = image.load().astype(np.float32)[0] / 255
        return Heatmap(np.ascontiguousarray(pixels), image=image, label=label or self.classes[0])

    def _value(self, pixels: np.ndarray[Any, Any]) -> Value:
        height, width = pixels.shape[1:]
        mean = float(pixels.mean()) / 255
        if self.task == "classification":
            near = np.exp(-8 * np.abs(np.asarray([0.0, 0.5, 1.0]) - mean))
            scores = (near / near.sum()).astype(np.float32)
            return Label(self.classes, int(scores.argmax()), scores=scores)
        if self.task == "segmentation":
            grey = pixels.mean(axis=0)
            ids = np.digitize(grey, [85, 170]).astype(np.uint8)
            return SegmentationMap(self.classes, ids)
        boxes = np.asarray(
            [[0.05, 0.1, 0.45, 0.8], [0.5, 0.3, 0.95, 0.9], [0.3, 0.3, 0.6, 0.6]], np.float32
        ) * np.asarray([width, height, width, height], np.float32)
        masks = None
        if self.task == "instance_segmentation":
            rows, columns = np.mgrid[:height, :width]
            masks = Masks.from_full(np.stack([_disc(rows, columns, box) for box in boxes]))
        return Detections(
            self.classes,
            boxes,
            np.asarray([0, 1, 1]),
            size=(height, width),
            scores=np.asarray([0.9, 0.6, 0.2], np.float32),
            masks=masks,
        )


def _disc(rows: Any, columns: Any, box: Any) -> Any:
    x1, y1, x2, y2 = box
    ring = ((columns + 0.5 - (x1 + x2) / 2) / (x2 - x1)) ** 2 + ((rows + 0.5 - (y1 + y2) / 2) / (y2 - y1)) ** 2
    return (ring < 0.25) & (ring > 0.02)


class Running:
    """A server in a thread, on a free port; its signals are not looked at."""

    def __init__(self, models: dict[str, FakeModel], limits: Limits, **options: Any) -> None:
        self.models = models
        served = served_by_name(Served(name, model, explains=True) for name, model in models.items())
        self.metrics = Metrics(list(served))
        opened = listen("127.0.0.1", 0)[0]
        self.address = address_of(opened)
        self.port = opened.getsockname()[1]
        began = threading.Event()
        self.thread = threading.Thread(
            target=run,
            args=(served, opened, limits),
            kwargs={"metrics": self.metrics, "began": began.set, **options},
            daemon=True,
        )
        self.thread.start()
        if not began.wait(60):
            raise RuntimeError("the server did not begin")

    def connections(self) -> int:
        """Open connections, as the server counts them twice a second."""
        line = next(line for line in self.metrics.text().splitlines() if line.startswith("visus_connections "))
        return int(line.split()[1])


class Asked:
    """A service of fakes, and how to ask it."""

    def __init__(
        self, models: dict[str, FakeModel], limits: Limits = SHORT, explains: bool = True, **options: Any
    ) -> None:
        self.models = models
        served = served_by_name(Served(name, model, explains=explains) for name, model in models.items())
        self.service = Service(served, limits, Metrics(list(served)))
        self.app = make_app(self.service, **options)
        self.service.line.start()

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        async def ask() -> Any:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://visus.test") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def send(self, path: str, *images: bytes, **options: Any) -> Any:
        files = [("image", (f"{number}.png", data)) for number, data in enumerate(images)]
        return self("POST", path, files=files, **options)


def main() -> None:
    """Reads {"tasks": ..., "seconds": ..., "limits": ..., "port": ...} from the command line; prints the address."""
    orders = json.loads(sys.argv[1])
    models = {task: FakeModel(task, orders.get("seconds", 0.0)) for task in orders.get("tasks", ["classification"])}
    served = served_by_name(Served(name, model, explains=True) for name, model in models.items())
    opened = listen("127.0.0.1", orders.get("port", 0))[0]
    address = address_of(opened)
    sys.exit(
        min(
            run(
                served,
                opened,
                Limits(**orders.get("limits", {})),
                token=orders.get("token"),
                began=lambda: print(address, flush=True),
            ),
            100,
        )
    )


if __name__ == "__main__":
    main()
