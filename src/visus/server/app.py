"""The application: its paths and what they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from visus.errors import DataError, VisusError
from visus.server.bodies import GoneError, Room, read_body, require_small
from visus.server.gate import Gate
from visus.server.limits import Limits
from visus.server.line import Line, Work, ending
from visus.server.metrics import CONTENT_TYPE, Metrics
from visus.server.page_files import page_files
from visus.server.pictures import TooManyPixelsError, checked_sample
from visus.server.refusals import JsonResponse, Refusal, refusal_of
from visus.server.schema import IMAGE_BODY, Explanations, Failure, Models, Predictions
from visus.server.served import Served
from visus.server.uploads import Upload, uploads
from visus.server.work import INCLUDES, ExplainWork, PredictWork
from visus.structures import Sample

ModelName = Annotated[str, Query(description="which model; the first of /models if not given")]
FileName = Annotated[str, Query(description="what the answer calls an image that is the body itself")]
_FAILURES: dict[int | str, dict[str, Any]] = {
    code: {"model": Failure} for code in (400, 401, 403, 404, 408, 413, 415, 422, 500, 503, 504)
}


@dataclass(frozen=True, slots=True)
class Unread:
    """An image whose header already shows that it is none, or too large. name: of its file."""

    name: str
    error: DataError


class Service:
    """What the paths share.

    Args:
        models: by name; the first is the default.
        limits: of this process.
        metrics: of this process.
    """

    def __init__(self, models: Mapping[str, Served], limits: Limits, metrics: Metrics) -> None:
        self.models = models
        self.limits = limits
        self.metrics = metrics
        self.room = Room(limits.bodies)
        self.line = Line(limits.waiting, limits.pixels, lambda key, count: metrics.batch(key[0], count))
        self.ending = False

    def model(self, name: str) -> Served:
        """The model of a name; "" is the first.

        Raises:
            Refusal: 404, if there is none.
        """
        if not name:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise Refusal(404, "there is no such model", expected=" or ".join(self.models), got=name[:100], unread=True)
        return self.models[name]

    def state(self) -> tuple[int, str]:
        """The status of ``/healthz`` and its word."""
        if self.ending:
            return 503, "ending"
        # Twice what any request may wait: then the network hangs, and nobody gets an answer any more.
        if self.line.busy_seconds() > 2 * self.limits.request_seconds:
            return 503, "stuck"
        return 200, "ok"

    def look(self, connections: int) -> None:
        """Writes the gauges."""
        self.metrics.set("visus_connections", connections)
        self.metrics.set("visus_waiting_images", self.line.waiting)
        self.metrics.set("visus_body_bytes", self.room.taken)
        self.metrics.look_at_process()

    async def answers(self, request: Request, served: Served, work: Work, name: str) -> list[Any]:
        """What the work gives for each image of a request, in order, or an :class:`Unread`.

        Args:
            request: whose body has the images.
            served: the model.
            work: what is asked about them.
            name: of an image that is the body itself.

        Raises:
            Refusal: if the request cannot be answered.
            GoneError: if the client goes away.
        """
        if self.ending:
            raise ending()
        require_small(request, self.limits)
        self.line.require_room(1)  # before the body is taken, and again when its images are known
        with self.room.share() as share:
            body = await read_body(request, self.limits, share)
            kind = request.headers.get("content-type", "")
            sent = await run_in_threadpool(uploads, body, kind, name=name, most=self.limits.images)
            del body
            looked = await run_in_threadpool(self._looked_at, sent, served)
            right = [entry for entry in looked if not isinstance(entry, Unread)]
            request.scope["visus.notes"] |= {"model": served.name, "images": len(sent), "bytes": share.taken}
            found = iter(await self._waited_for(request, served, work, right) if right else ())
            return [entry if isinstance(entry, Unread) else next(found) for entry in looked]

    def _looked_at(self, sent: Sequence[Upload], served: Served) -> list[tuple[Sample, int] | Unread]:
        found: list[tuple[Sample, int] | Unread] = []
        for upload in sent:
            try:
                value_range = served.model.info.preprocessing.value_range
                found.append(checked_sample(upload, self.limits.pixels, value_range))
            except DataError as error:
                if isinstance(error, TooManyPixelsError):
                    self.metrics.refused("pixels")
                self.metrics.images(served.name, "failed", 1)
                found.append(Unread(upload.name, error))
        return found

    async def _waited_for(
        self, request: Request, served: Served, work: Work, samples: Sequence[tuple[Sample, int]]
    ) -> list[Any]:
        job = self.line.join(work, samples)
        answer: asyncio.Future[list[Any]] = asyncio.wrap_future(job.future)
        gone: asyncio.Future[None] = asyncio.ensure_future(_gone(request))
        either: list[asyncio.Future[Any]] = [answer, gone]
        try:
            await asyncio.wait(either, timeout=self.limits.request_seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.done() and not answer.cancelled():
                return answer.result()
            self.metrics.images(served.name, "given_up", len(samples))
            if gone.done():
                raise GoneError
            if answer.cancelled():  # by the line, which ends
                raise ending()
            raise Refusal(
                504,
                "the answer took too long",
                expected=f"within {self.limits.request_seconds:g} seconds",
                remedy="send fewer or smaller images at a time",
                reason="request_time",
            )
        finally:
            self.line.leave(job)
            gone.cancel()
            answer.cancel()


async def _gone(request: Request) -> None:
    """Returns when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def make_app(
    service: Service,
    *,
    token: str | None = None,
    origins: Sequence[str] = (),
    page: bool = True,
    version: str = "0",
) -> ASGIApp:
    """The application, behind its gate.

    Args:
        service: models and limits.
        token: that requests must bear; None: none.
        origins: of pages elsewhere that may use it.
        page: whether the page is served.
        version: of visus.
    """
    files = page_files() if page else {}
    # FastAPI's own /docs and /redoc load scripts from a content delivery network.
    app = FastAPI(title="visus", version=version, docs_url=None, redoc_url=None, openapi_url="/openapi.json")

    @app.get("/healthz", summary="Whether it answers")
    async def healthz() -> Response:
        status, word = service.state()
        return JsonResponse({"status": word}, status)

    @app.get("/metrics", summary="Counts for Prometheus")
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    @app.get("/models", summary="The models and their classes", response_model=Models)
    async def models() -> Response:
        return JsonResponse(
            {
                "models": [served.to_dict() for served in service.models.values()],
                "limits": service.limits.to_dict(),
            }
        )

    @app.post(
        "/predict",
        summary="What a model says of images",
        response_model=Predictions,
        responses=_FAILURES,
        openapi_extra=IMAGE_BODY,
    )
    async def predict(
        request: Request,
        model: ModelName = "",
        name: FileName = "",
        score: Annotated[
            float | None, Query(ge=0, le=1, description="objects below it are left out; the model's own if not given")
        ] = None,
        include: Annotated[str, Query(description=f"with commas: {', '.join(INCLUDES)}")] = "",
    ) -> Response:
        served = service.model(model)
        added = frozenset(filter(None, include.split(",")))
        if not added <= set(INCLUDES):
            raise Refusal(
                422, "there is no such addition", expected=", ".join(INCLUDES), got=include[:100], unread=True
            )
        least = served.model.shown_score if score is None else score
        work = PredictWork(served, service.limits.batch, least, added)
        entries = await service.answers(request, served, work, name)
        unread = [entry for entry in entries if isinstance(entry, Unread)]
        predictions = [
            {"image": entry.name, "error": entry.error.problem} if isinstance(entry, Unread) else entry
            for entry in entries
        ]
        failed = sum("error" in entry for entry in predictions)
        service.metrics.images(served.name, "failed", failed - len(unread))
        service.metrics.images(served.name, "answered", len(predictions) - failed)
        large = bool(unread) and all(isinstance(entry.error, TooManyPixelsError) for entry in unread)
        # 200 if an image was answered; else what is wrong with all of them.
        return JsonResponse({"predictions": predictions}, 200 if failed < len(predictions) else 413 if large else 422)

    @app.post(
        "/explain",
        summary="Which parts of images speak for an answer",
        response_model=Explanations,
        responses=_FAILURES,
        openapi_extra=IMAGE_BODY,
    )
    async def explain(
        request: Request,
        model: ModelName = "",
        name: FileName = "",
        label: Annotated[str, Query(description="the class to explain; the predicted one if not given")] = "",
    ) -> Response:
        served = service.model(model)
        if not served.explains:
            raise Refusal(
                422,
                f"{served.name} makes no heat maps",
                expected="a model that PyTorch computes",
                got="an exported file",
                remedy="serve its run folder, or its model.safetensors",
                unread=True,
            )
        if label and label not in served.model.classes:
            expected = " or ".join(served.model.classes[:20])
            raise Refusal(422, "there is no such class", expected=expected, got=label[:100], unread=True)
        entries = await service.answers(request, served, ExplainWork(served, label or None), name)
        for entry in entries:
            if isinstance(entry, Unread):
                raise entry.error
        service.metrics.images(served.name, "answered", len(entries))
        return JsonResponse({"explanations": [part for parts in entries for part in parts]})

    for path, file in files.items():
        app.add_route(path, file.answer, methods=["GET"], include_in_schema=False)

    @app.exception_handler(GoneError)
    async def _gone_away(_request: Request, _error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it

    async def _refused(_request: Request, error: Exception) -> Response:
        refusal = refusal_of(error)
        if isinstance(error, TooManyPixelsError):
            refusal.status = 413
        service.metrics.refused(refusal.reason)
        return refusal.response()

    for kind in (Refusal, VisusError, MemoryError, Exception):
        app.add_exception_handler(kind, _refused)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: Exception) -> Response:
        first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
        place = ".".join(str(part) for part in first.get("loc", ())[1:])
        got = str(first.get("input", ""))[:100]
        return Refusal(422, f"{place} is wrong", expected=first.get("msg", ""), got=got, unread=True).response()

    @app.exception_handler(HTTPException)
    async def _other(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        problem = {404: "there is nothing at this path", 405: "this path takes another method"}.get(status, str(error))
        paths = "POST /predict, POST /explain, GET /models, /healthz, /metrics, /openapi.json"
        return Refusal(status, problem, expected=paths, unread=True).response()

    return Gate(app, service.metrics, token=token, origins=origins, pages=frozenset(files))
