"""visus doctor"""

from __future__ import annotations

from typing import Annotated

import typer

HELP = """Look at this machine: versions, devices, memory, free disk; and train a tiny network as a self-test.

Exit code 1 when something does not work.

\b
  visus doctor
  visus doctor --json
"""


def doctor(json_: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False) -> None:
    from visus.api.doctor import examine
    from visus.cli.output import say, say_json

    result = examine()
    if json_:
        say_json(result.to_dict())
    else:
        say(str(result))
    if not result.healthy:
        raise typer.Exit(1)
