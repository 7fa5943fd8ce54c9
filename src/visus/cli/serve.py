"""visus serve"""

from __future__ import annotations

from typing import Annotated

import typer

HELP = """Answer over HTTP with trained models, and serve a page to try them in a browser.

Ends with Ctrl-C or SIGTERM, after what is under way. VISUS_TOKEN, if it is set, is the token that requests must bear.

\b
  visus serve runs/photos-resnet18                          then open http://127.0.0.1:8000/
  curl -F image=@a.jpg http://127.0.0.1:8000/predict        the same JSON as visus predict --json
  visus serve runs/latest --port 8080
  visus serve cells=runs/bccd-ssd nuclei=runs/nuclei-unet   two models by name: /predict?model=nuclei
  VISUS_TOKEN=secret visus serve runs/latest --host 0.0.0.0 --workers 2
"""


def serve(
    models: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run folders or model files; NAME=RUN names one.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0: from everywhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: any that is free.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with its own copy of the models.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each process for the network.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    token_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Holds the token that requests must bear; or set VISUS_TOKEN.")
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="A page elsewhere that may use it, such as https://example.org.")
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Serve the page.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line for each request.")] = False,
    max_body: Annotated[float, typer.Option(min=0.001, help="Megabytes (10^6 bytes) of a request's body.")] = 32,
    max_pixels: Annotated[float, typer.Option(min=0.000001, help="Million pixels of an image.")] = 25,
    max_images: Annotated[int, typer.Option(min=1, help="Images of a request.")] = 16,
    max_waiting: Annotated[int, typer.Option(min=1, help="Images that wait; beyond, requests get 503.")] = 64,
    max_connections: Annotated[int, typer.Option(min=1, help="Connections that are open at once.")] = 512,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that go through the network together.")] = 8,
    header_seconds: Annotated[float, typer.Option(min=0.1, help="For the header of a request.")] = 10,
    body_seconds: Annotated[float, typer.Option(min=0.1, help="For its body.")] = 30,
    request_seconds: Annotated[float, typer.Option(min=0.1, help="For its answer.")] = 60,
    grace_seconds: Annotated[float, typer.Option(min=1, help="For what is under way when it is told to end.")] = 30,
) -> None:
    import os

    from visus.api.serve import serve as run
    from visus.cli.output import note
    from visus.workflow.serving import read_token, require_packages

    require_packages()
    from visus.server.limits import Limits

    limits = Limits(
        body=round(max_body * 1e6),
        bodies=max(round(8 * max_body * 1e6), 64_000_000),
        images=max_images,
        pixels=round(max_pixels * 1e6),
        waiting=max_waiting,
        batch=batch_size,
        connections=max_connections,
        header_seconds=header_seconds,
        body_seconds=body_seconds,
        request_seconds=request_seconds,
        grace_seconds=grace_seconds,
    )
    code = run(
        models,
        host=host,
        port=port,
        workers=workers,
        device=device,
        threads=threads,
        token=os.environ.get("VISUS_TOKEN") if token_file is None else read_token(token_file),
        origins=origin or (),
        page=page,
        quiet=quiet,
        limits=limits,
        say=lambda text: note(f"{text}  (Ctrl-C ends it)"),
    )
    if code:
        raise typer.Exit(code)
