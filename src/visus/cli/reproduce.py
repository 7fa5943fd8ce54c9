"""visus reproduce"""

from __future__ import annotations

from typing import Annotated

import typer

from visus.cli.data_options import Quiet

HELP = """Run a published comparison again, at a size that a CPU can do, and say what of it was seen.

Without NAME, the experiments are listed. A run that was stopped goes on when the same command is given again.

\b
  visus reproduce                              the experiments
  visus reproduce degradation                  plain and residual networks of 20 and 56 layers
  visus reproduce batchnorm --minutes 10       fewer steps, where 10 minutes are not enough
  visus reproduce activations --scale 4 --minutes 120 --out runs/long   more of them
  visus reproduce detector-lineage --data bccd/      from R-CNN to R-FCN, on boxes of one's own
"""


def reproduce(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of the experiment.", show_default=False)] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder or file instead of the experiment's data set.", show_default=False)
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Trainings of each network.", show_default=False)] = None,
    scale: Annotated[float, typer.Option(help="Factor of the experiment's steps (detectors: epochs).")] = 1.0,
    minutes: Annotated[
        float | None,
        typer.Option(help="Most time for all trainings together; 30. Not of detectors.", show_default=False),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Detectors: the backbone's first weights: none, default or a file.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    out: Annotated[str, typer.Option(help="Folder of run folders.")] = "runs",
    quiet: Quiet = False,
    json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    from visus.cli.output import say, say_json

    if name is None:
        from visus.api.reproduce import list_experiments
        from visus.workflow.companions import require_companion

        for parameter in context.command.params:
            source = context.get_parameter_source(parameter.name or "")
            if parameter.name != "json_" and source is not None and source.name == "COMMANDLINE":
                require_companion(parameter.opts[0], True, "NAME", False)
        experiments = list_experiments()
        if json_:
            say_json({"experiments": [{"name": e.name, "paper": e.paper, "claim": e.claim} for e in experiments]})
            return
        for experiment in experiments:
            say(f"{experiment.name}: {experiment.claim}\n  {experiment.paper}")
        return
    from visus.api.reproduce import reproduce as run

    result = run(
        name,
        data=data,
        seeds=seeds,
        scale=scale,
        minutes=minutes,
        weights=weights,
        device=device,
        out=out,
        quiet=quiet,
    )
    if json_:
        say_json(result.to_dict())
    else:
        say(result.describe())
        say(f"{result.path / 'figure.png'}")
