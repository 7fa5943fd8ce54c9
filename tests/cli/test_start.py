"""Looking costs little: the help and the lists load no torch."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from visus.cli import cite, data, doctor, evaluate, explain, models, predict, prove, summary, train

COUNTED = "import sys; from visus.cli.main import main\ntry: main({arguments})\nexcept SystemExit: pass\n"
HEAVY = ("torch", "torchvision", "cv2", "sklearn", "matplotlib")
REPORTED = f"sys.stderr.write('\\nLOADED ' + ' '.join(name for name in {HEAVY} if name in sys.modules))"
HELP_SECONDS = 0.3


def run(*arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Runs a command line in a fresh interpreter; its result, and the CPU seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = COUNTED.format(arguments=list(arguments)) + REPORTED
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("train", "--help"),
        ("train", "photos", "--nonsense"),
        ("models", "resnet"),
        ("prove", "--help"),
        ("prove",),
        ("cite", "resnet50"),
        ("data", "list"),
        ("data", "check", "nowhere"),
    ],
    ids=" ".join,
)
def test_no_torch(arguments: tuple[str, ...]) -> None:
    done, _ = run(*arguments)
    assert done.stderr.endswith("LOADED "), done.stderr
    assert done.stdout or any(word in done.stderr for word in ("nowhere", "--nonsense", "visus prove --all"))


def test_the_help_is_quick() -> None:
    # The best of three: a busy machine makes a run dearer, never cheaper. Twice the goal, for slower machines.
    assert min(run("--help")[1] for _ in range(3)) < 2 * HELP_SECONDS


def test_every_verb_has_examples() -> None:
    verbs = (
        "train",
        "evaluate",
        "predict",
        "explain",
        "models",
        "cite",
        "summary",
        "prove",
        "doctor",
        "data check",
        "data show",
        "data anchors",
    )
    helps = [module.HELP for module in (train, evaluate, predict, explain, models, cite, summary, prove, doctor)]
    for verb, text in zip(verbs, [*helps, data.CHECK_HELP, data.SHOW_HELP, data.ANCHORS_HELP], strict=True):
        assert f"  visus {verb}" in text


def test_python_loads_no_torch_either() -> None:
    program = "import sys, visus; visus.list_models('resnet'); visus.open_data; visus.Recipe(); " + REPORTED
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr.endswith("LOADED ")
