"""visus explain"""

from __future__ import annotations

from typing import Annotated

import typer

HELP = """Show where a model looked: Grad-CAM heat maps of its answers.

\b
  visus explain runs/photos-resnet18 new/a.jpg --save out/
  visus explain runs/photos-resnet18 new/ --label dogs --save out/   why it could be dogs
"""


def explain(
    run: Annotated[str, typer.Argument(help="Run folder or model file.")],
    images: Annotated[list[str], typer.Argument(help="Image files and folders.")],
    save: Annotated[str, typer.Option(metavar="FOLDER", help="Where the pictures go.")] = "explanations",
    label: Annotated[str | None, typer.Option(help="Explain this class instead of the predicted one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    from visus.api.explain import explain_files
    from visus.cli.output import say, say_json

    pictures = explain_files(run, images, save=save, label=label, device=device)
    if json_:
        say_json({"explanations": [{"image": name, "label": label, "file": file} for name, label, file in pictures]})
    else:
        for name, why, file in pictures:
            say(f"{name}: {why} -> {file}")
