"""Serves trained models over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visus.server.limits import Limits


def serve(
    models: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    device: str = "auto",
    threads: int | None = None,
    token: str | None = None,
    origins: Sequence[str] = (),
    page: bool = True,
    quiet: bool = False,
    limits: Limits | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Answers requests over HTTP, and serves a page that asks, until SIGINT or SIGTERM ends it.

    What is under way then is still answered.

    Args:
        models: a run folder or a model file, several of them, or a mapping from their names; the first is the model of
            requests that name none.
        host: the address to listen at; the default is reached from this machine alone.
        port: to listen at; 0: any that is free.
        workers: processes, each with its own copy of the models.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        threads: of each process for the network; None: as many as PyTorch takes, or the processors shared out among
            several workers.
        token: that requests must bear (``Authorization: Bearer TOKEN``); None: none.
        origins: of pages elsewhere that may use it, such as "https://example.org"; none: no page but its own.
        page: whether the page is served.
        quiet: without a line for each request on standard error.
        limits: a :class:`visus.server.limits.Limits`; None: its defaults.
        say: is told the address when requests are taken.

    Returns:
        The exit code: 0; 143 if requests had to be cut off at the end.

    Raises:
        MissingExtraError: if the packages of ``visus[serve]`` are not installed.
        UsageError: if the port is taken, the token empty, or two models have one name.
        WeightsError: if a model file is missing, corrupt or foreign.
    """
    from visus.errors import UsageError
    from visus.server.limits import Limits
    from visus.workflow.serving import ServeRequest, named
    from visus.workflow.serving import serve as serve_until_end

    if token is not None and not token.strip():
        raise UsageError(
            "the token is empty", expected="a secret text", got="nothing", remedy="leave it out, or give one"
        )
    if isinstance(models, Mapping):
        chosen = tuple((name, str(path)) for name, path in models.items())
    else:
        chosen = named([models] if isinstance(models, str | Path) else models)
    request = ServeRequest(
        models=chosen,
        host=host,
        port=port,
        workers=workers,
        device=device,
        threads=threads,
        token=None if token is None else token.strip(),
        origins=tuple(origin.rstrip("/") for origin in origins),
        page=page,
        quiet=quiet,
    )
    return serve_until_end(request, limits or Limits(), say=say)
