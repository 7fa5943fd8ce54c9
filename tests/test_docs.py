"""The pages and the code say the same: verbs, options, tasks, exit codes, formats, findings, fields, commands."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import typer

import visus
from visus import errors
from visus.cli.main import app_of
from visus.data.formats.readers import FORMATS
from visus.engine.recipe import Recipe
from visus.recipes.published import PUBLISHED
from visus.structures import Detections, Label, LabelSet, Landmarks, MultiLabelMap, SegmentationMap
from visus.structures.task_cards import TASKS as OWN_TASKS
from visus.structures.task_cards import task_card

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
COMMANDS: dict[str, Any] = typer.main.get_command(app_of()).commands  # type: ignore[attr-defined]
TASKS = tuple(card.name for card in OWN_TASKS)
SIGNALS = {130, 143}  # 128 + SIGINT, SIGTERM
OTHER_CODES = {0, 1}  # done, a check failed: no error is raised for them


def page(name: str) -> str:
    """The text of a page."""
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def verbs() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb with its words: ("train",), ("data", "check")."""
    for name, command in COMMANDS.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            yield (name,), command
        else:
            yield from (((name, word), part) for word, part in inner.items())


VERBS = dict(verbs())


def options(command: Any) -> set[str]:
    """Every spelling of every option of a verb."""
    own = {
        spelling
        for parameter in command.params
        if parameter.param_type_name == "option"
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    }
    return own | {"--help"}


def commands_in(text: str) -> Iterator[str]:
    """Every ``visus ...`` line of the fenced blocks that are for a shell."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.M | re.S):
        if language not in ("sh", "console"):
            continue
        for line in block.splitlines():
            line = line.removeprefix("$ ") if language == "console" else line
            if line.startswith("visus "):
                yield line


def misuse(line: str) -> str:
    """What is wrong with a command line: "" for nothing."""
    words = shlex.split(line.partition("|")[0], comments=True)[1:]
    if words and words[0].startswith("-"):
        return "" if set(words) <= {"--help", "--version"} else f"visus has no option {words}"
    size = 2 if tuple(words[:2]) in VERBS else 1
    verb = tuple(words[:size])
    if verb not in VERBS:
        return f"there is no verb {' '.join(words[:2])}"
    given = {word.partition("=")[0] for word in words[size:] if word.startswith("--")}
    unknown = given - options(VERBS[verb])
    return f"visus {' '.join(verb)} has no option {', '.join(sorted(unknown))}" if unknown else ""


def test_every_verb_has_a_page_and_every_page_a_verb() -> None:
    assert {path.stem for path in (DOCS / "verbs").glob("*.md")} == {words[0] for words in VERBS}
    for words in VERBS:
        assert f"visus {' '.join(words)}" in page(f"verbs/{words[0]}"), words


def test_every_task_has_a_page() -> None:
    assert {path.stem for path in (DOCS / "tasks").glob("*.md")} == set(TASKS)


@pytest.mark.parametrize("words", list(VERBS), ids=" ".join)
def test_every_option_of_a_verb_is_on_its_page(words: tuple[str, ...]) -> None:
    text = page(f"verbs/{words[0]}")
    if len(words) == 2:  # its own section
        text = text.partition(f"\n## visus {' '.join(words)}\n")[2].partition("\n## ")[0]
    mentioned = set(re.findall(r"^\| (.*?) \|", text, flags=re.M))
    listed = {spelling for cell in mentioned for spelling in re.findall(r"--[\w-]+", cell)}
    assert listed == options(VERBS[words])


def test_every_exit_code_is_on_the_page_of_exit_codes() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.VisusError)]
    codes = {kind.exit_code for kind in kinds} | SIGNALS | OTHER_CODES
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", page("exit_codes"), flags=re.M)}
    assert table == codes
    for kind in kinds:
        if kind is not errors.VisusError:
            assert f"`{kind.__name__}`" in page("exit_codes")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_commands_on_pages_name_only_what_there_is(path: Path) -> None:
    for line in commands_in(path.read_text(encoding="utf-8")):
        assert not misuse(line), f"{path.name}: {line}: {misuse(line)}"


def test_the_help_of_verbs_names_only_what_there_is() -> None:
    for words, command in VERBS.items():
        lines = [line.strip() for line in command.help.splitlines() if line.strip().startswith("visus ")]
        assert lines, f"{words}: no example"
        for line in lines:
            named = re.split(r"\s{2,}", line)[0]  # what follows wide space is a remark
            assert not misuse(named), f"{named}: {misuse(named)}"


def test_misuse_is_found() -> None:
    assert misuse("visus train photos/ --model resnet18") == ""
    assert "no option --colour" in misuse("visus train photos/ --colour=red")
    assert "no verb" in misuse("visus paint photos/")
    assert "no option --count" in misuse("visus data check photos/ --count 3  # --count is another verb's")
    assert misuse("visus predict RUN new/ --json | jq .") == ""


def test_every_format_has_a_section() -> None:
    head, _, body = page("data").partition("## Named")[0].partition("\n## Formats\n")
    sections = re.findall(r"^### ([\w-]+)$", body, flags=re.M)
    assert sections == re.findall(r"^\| \[`([\w-]+)`\]\(#\1\) \|", head, flags=re.M)  # in the order of the table
    assert sorted(sections) == sorted(item.name for item in FORMATS)


WRITING = ROOT / "src" / "visus" / "data" / "writing"


def kinds(paths: Iterable[Path]) -> set[str]:
    """Every text in these files that looks like the kind of a finding or of a change and is no format's name."""
    found = set()
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # Names of folders, files and columns are in tables at the top of the readers, not in calls or dicts.
        for node in ast.walk(tree):
            places = node.args if isinstance(node, ast.Call) else node.keys if isinstance(node, ast.Dict) else []
            values = [item.value for item in places if isinstance(item, ast.Constant)]
            found |= {v for v in values if isinstance(v, str) and re.fullmatch(r"[a-z]+(-[a-z]+)+", v)}
    return found - {item.name for item in FORMATS}


def test_every_kind_of_finding_is_in_the_tables() -> None:
    section = page("data").partition("\n## Findings\n")[2].partition("\n## Image rules\n")[0]
    listed = re.findall(r"^\| `([\w-]+)` \| (?:stop|repair|note)", section, flags=re.M)
    assert len(listed) == len(set(listed))
    readers = [path for path in (ROOT / "src" / "visus" / "data").rglob("*.py") if path.parent != WRITING]
    assert kinds(readers) - set(listed) == set()
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "visus" / "data").rglob("*.py"))
    assert [kind for kind in listed if f'"{kind}"' not in source] == []


def test_every_kind_of_change_is_in_the_table() -> None:
    section = page("data").partition("\n## Converting\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| `([\w-]+)` \|", section, flags=re.M))
    assert kinds(WRITING.glob("*.py")) <= listed
    source = "\n".join(path.read_text(encoding="utf-8") for path in WRITING.glob("*.py"))
    assert [kind for kind in listed if f'"{kind}"' not in source] == []


def test_the_page_of_recipes_shows_every_part() -> None:
    parts = {name.rpartition(".")[0] for name, *_ in Recipe().fields()}
    shown = set(re.findall(r"^```\{recipe-fields\} ?(\w*)$", page("recipes"), flags=re.M))
    assert shown == parts


def test_the_python_page_has_every_public_name() -> None:
    named = set(re.findall(r"auto(?:function|class):: (\w+)", page("python")))
    assert set(visus._HOMES) <= named


ANSWERS: dict[type, tuple[Any, Any]] = {
    Label: (Label(("a", "b"), 0, np.asarray([0.9, 0.1], np.float32)), Label(("a", "b"), 0)),
    LabelSet: (
        LabelSet.of_scores(("a", "b"), np.asarray([0.9, 0.1], np.float32), np.full(2, 0.5, np.float32)),
        LabelSet.of_ids(("a", "b"), [0]),
    ),
    Landmarks: (Landmarks(("a",), np.zeros((1, 2), np.float32), np.ones(1, bool), (8, 8)),) * 2,
    Detections: (Detections.empty(("a",), (8, 8), scored=True), Detections.empty(("a",), (8, 8))),
    SegmentationMap: (SegmentationMap(("a", "b"), np.zeros((8, 8), np.uint8)),) * 2,
    MultiLabelMap: (MultiLabelMap(("a", "b"), np.zeros((2, 8, 8), bool)),) * 2,
}
"""For each kind of answer a prediction and its target."""


@pytest.mark.parametrize("task", TASKS)
def test_every_score_is_on_the_page_of_its_task(task: str) -> None:
    from visus.tasks.table import make_task

    prediction, truth = ANSWERS[task_card(task).value]
    metric = make_task(task, prediction.classes).metrics()
    metric.update([prediction], [truth])
    scores = metric.compute()
    rows = re.findall(r"^\| (`.*?) \| ", page(f"tasks/{task}").partition("\n## Metrics\n")[2], flags=re.M)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(scores)
    table = scores.get("per_class")
    if table is None:  # the task names no classes
        return
    columns = table[0] if isinstance(table, list) else next(iter(table.values()))
    for name in columns:
        assert f"`{name}`" in page(f"tasks/{task}")


def json_fields(name: str, heading: str = "## JSON") -> set[str]:
    """The fields in the tables under the first heading of this text on the page of a verb."""
    section = page(f"verbs/{name}").partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return {f for cell in re.findall(r"^\| (`.*?) \|", section, flags=re.M) for f in re.findall(r"`(\w+)`", cell)}


def test_json_fields_of_models() -> None:
    assert json_fields("models") == set(visus.list_models()[0].to_dict())


def test_json_fields_of_identified_weights(tmp_path: Path) -> None:
    import torch

    torch.save(visus.create("mnist_cnn").state_dict(), tmp_path / "own.pth")
    values = visus.identify(tmp_path / "own.pth", model="mnist_cnn").to_dict()
    assert json_fields("models", "## JSON with --weights") == set(values) | set(values["editions"][0])


def test_json_fields_of_summary() -> None:
    values = visus.summary("lenet5@modern").to_dict()
    assert json_fields("summary") == set(values) | set(values["lines"][0])


def test_json_fields_of_prove() -> None:
    values = visus.prove("lenet5@modern").to_dict()
    proof = values["proofs"][0]
    assert json_fields("prove") == set(values) | set(proof) | set(proof["verdicts"][0])


def test_json_fields_of_reproduce(tmp_path: Path) -> None:
    from visus.api.reproduce import Reproduction
    from visus.experiments.outcome import Check, Curve, Outcome
    from visus.experiments.running import Setting
    from visus.experiments.table import EXPERIMENTS

    (tmp_path / "env.json").write_text("{}")
    curve = Curve("a", 0, (), 1, 1.0, 1.0)
    outcome = Outcome(("a",), "test_error", (curve,))
    setting = Setting("shortcuts", "made", (1, 1), 1, 1.0, 1.0)
    found = Reproduction(EXPERIMENTS["shortcuts"], setting, outcome, (Check("a", "b", 1, 1),), tmp_path).to_dict()
    fields = set(found) | set(found["networks"][0])
    assert json_fields("reproduce") == fields
    named = set(re.findall(r"`(\w+)`", page("verbs/reproduce").partition("\n## JSON\n")[2]))
    assert set(found["setting"]) | set(found["checks"][0]) <= named | {"experiment"}
    listed = set(re.findall(r"^\| (`.*?) \|", page("verbs/reproduce"), flags=re.M))
    assert all(any(f"`{name}`" in cell for cell in listed) for name in ("table.md", "results.json", "setting.json"))


def test_json_fields_of_compared_detectors(tmp_path: Path) -> None:
    from visus.api.reproduce import ComparedDetectors
    from visus.experiments.detector_outcome import PARTS, DetectorOutcome, Trial
    from visus.experiments.detectors import LINEAGE

    (tmp_path / "env.json").write_text("{}")
    trial = Trial("a", 0, 0.5, 0.3, 1.0, 1.0, False, dict.fromkeys(PARTS, 1.0), 1, (1, 1))
    found = ComparedDetectors(LINEAGE, "made", DetectorOutcome(("a",), (trial,), {}), (), tmp_path).to_dict()
    assert json_fields("reproduce", "## JSON of detectors") == set(found) | set(found["detectors"][0])
    assert all(f"`{part}`" in page("verbs/reproduce") for part in PARTS)


def test_json_fields_of_explained_regions(tmp_path: Path) -> None:
    from PIL import Image

    from visus.structures import Preprocessing

    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    truth = Detections(("a",), np.asarray([[8, 8, 40, 40]], np.float32), np.zeros(1, np.int64), (64, 64))
    network = visus.create("faster_rcnn+mobilenet_v1_025", classes=1, width=8, rpn_width=8)
    found = visus.explain_targets(network, tmp_path / "a.png", truth, preprocessing=Preprocessing(size=(64, 64)))
    values = found.to_dict()
    assert set(values) <= json_fields("explain")
    section = page("verbs/explain").partition("\n## JSON\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    first = values["first_stage"]
    assert {*first, *first["counts"], *values["counts"], *values["objects"][0]} <= named


def test_json_fields_of_explained_targets(tmp_path: Path) -> None:
    from PIL import Image

    from visus.structures import Preprocessing

    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    truth = Detections(("a",), np.asarray([[8, 8, 40, 40]], np.float32), np.zeros(1, np.int64), (64, 64))
    network = visus.create("yolov3_tiny", classes=1)
    found = visus.explain_targets(network, tmp_path / "a.png", truth, preprocessing=Preprocessing(size=(64, 64)))
    values = found.to_dict()
    fields = json_fields("explain")
    assert {"image", "file", *values} <= fields
    section = page("verbs/explain").partition("\n## JSON\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    assert {*values["grids"][0], *values["counts"], *values["objects"][0]} <= named


@pytest.mark.parametrize("name", ["yolov1", "yolov2", "yolov3", "ssd", "retinanet"])
def test_the_figures_of_detectors_on_one_photo(name: str, tmp_path: Path, cheap_values: Any) -> None:
    """On a plain image of the photo's size: who learns what depends on the boxes alone, but for YOLO."""
    from importlib.util import module_from_spec, spec_from_file_location

    from PIL import Image

    spec = spec_from_file_location("draw_detectors", DOCS / "draw_detectors.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    Image.new("RGB", (640, 480), (90, 90, 90)).save(tmp_path / "a.png")
    with cheap_values():
        found = visus.explain_targets(name, tmp_path / "a.png", script.truth_of((480, 640)), device="cpu")
    section = page("detectors").partition(f"(images/targets-{name}.jpg)")[2].partition("\n## ")[0]
    height, width = found.size
    assert f"{width} x {height}" in section
    assert f"{len(found.predictors.boxes):,}" in section
    assert found.objects is not None
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+\.\d) % \|$", section, flags=re.M)
    expected = [(own.name, str(len(own.predictors)), f"{100 * own.overlap:.1f}") for own in found.objects]
    assert rows == (expected if name != "yolov1" else [])
    if found.predictors.compared == "box":
        assert all(f"{count:,}" in section for count in found.counts().values() if count)
    if name == "yolov1":
        _, row, column = found.predictors.position(int(found.objects[0].predictors[0]))
        assert f"is in row {row} and column {column}" in section
    with Image.open(DOCS / "images" / f"targets-{name}.jpg") as picture:
        assert picture.width == 22 + 2 * (560 + 22)  # four panels
    assert (DOCS / "images" / f"targets-{name}.jpg").stat().st_size <= script.LARGEST


def test_json_fields_of_doctor() -> None:
    from visus.api.doctor import Examination

    values = Examination({}, {}, {}, "", cores=1, memory=None, disk=0, self_test="", problems=()).to_dict()
    assert json_fields("doctor") == set(values)


def test_json_fields_of_data() -> None:
    from visus.data.reading.named import list_named

    assert json_fields("data", "### JSON") >= set(visus.check_data("digits").to_dict())
    listed = page("verbs/data").rpartition("\n### JSON\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", listed, flags=re.M)) == set(list_named()[0])


def test_json_fields_of_runs_and_evaluations(tmp_path: Path) -> None:
    from visus.workflow.run_training import DryRun
    from visus.workflow.scores import Evaluation

    (tmp_path / "metrics.json").write_text("{}")
    expected = {*visus.Run(tmp_path).to_dict(), *DryRun({}, ()).to_dict(), "source", "recipe", "fields"}
    assert json_fields("train") == expected
    assert json_fields("evaluate") == set(Evaluation("", "test", 0, {}).to_dict())


@pytest.mark.parametrize("task", TASKS)
def test_json_fields_of_predictions(task: str) -> None:
    from visus.api.predict import FileAnswer

    answer = FileAnswer("a.png", ANSWERS[task_card(task).value][0], saved="out/a.png").to_dict()
    assert set(answer) <= json_fields("predict")


def test_published_recipes_load_again(tmp_path: Path) -> None:
    for name, recipe in PUBLISHED.items():
        recipe.save(tmp_path / f"{name}.yaml")
        assert Recipe.load(tmp_path / f"{name}.yaml") == recipe


@pytest.mark.slow
def test_the_site_is_built_without_warnings_and_asks_nobody(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loads = re.compile(r"<(?:script|img|iframe|source)[^>]*src=\"(?:https?:)?//|<link[^>]*href=\"(?:https?:)?//")
    for file in tmp_path.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert not loads.search(text), file.name
        assert "mailto:" not in text, file.name
    assert "<math" in (tmp_path / "tasks" / "detection.html").read_text(encoding="utf-8")


@pytest.fixture
def package_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package that the page about extending shows, as pip leaves it in a folder of packages."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page("extending"), flags=re.M | re.S)
    (project,) = (tomllib.loads(block)["project"] for language, block in blocks if language == "toml")
    site = tmp_path / "site"
    (site / project["name"]).mkdir(parents=True)
    (site / project["name"] / "__init__.py").touch()
    for language, block in blocks:
        if language == "python":
            path = re.match(r"# (\w+/\w+\.py)\n", block)
            assert path is not None, "each block of code says which file it is"
            (site / path[1]).write_text(block, encoding="utf-8")
    facts = site / f"{project['name']}-{project['version']}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in points.items())])
        for group, points in project["entry-points"].items()
    ]
    (facts / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    return import_module(f"{project['name']}.test_batteries")


def test_the_package_of_the_page_about_extending_passes_its_own_tests(package_of_the_page: Any, tmp_path: Path) -> None:
    tests = [test for name, test in vars(package_of_the_page).items() if name.startswith("test_")]
    assert len(tests) == 4
    for test in tests:
        folder = tmp_path / test.__name__
        test(folder) if inspect.signature(test).parameters else test()


def test_the_page_about_extending_names_every_entry_point_and_battery() -> None:
    from visus import testing
    from visus.structures.extensions import Group

    text = page("extending")
    assert set(re.findall(r'^\[project\.entry-points\."(.*)"\]$', text, flags=re.M)) == set(get_args(Group))
    assert {name for name in testing.__all__ if name.startswith("check_")} == set(re.findall(r"`(check_\w+)`", text))


def test_the_cards_of_the_page_about_extending_load_no_torch(package_of_the_page: Any) -> None:
    module = Path(package_of_the_page.__file__).parent.name
    program = f"import sys, {module}.cards; print('torch' in sys.modules)"
    paths = os.pathsep.join([str(Path(package_of_the_page.__file__).parents[1]), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.stdout.strip() == "False", done.stderr


def default_model(task: str, side: int) -> str:
    """What a training without ``--model`` takes for images of this side, as the pages write it."""
    from visus.recipes.choice import DataFacts, choose_model

    facts = DataFacts(images=100, classes=3, size=(side, side), grey=False)
    model, backbone = choose_model(task, facts)
    return f"`{model}` on `{backbone}`" if backbone else f"`{model}`"


@pytest.mark.parametrize("task", TASKS)
def test_the_pages_name_the_default_models(task: str) -> None:
    small, large = default_model(task, 64), default_model(task, 65)
    table = page("verbs/train").partition("\n## What it prints")[0]
    (told,) = re.findall(rf"^\| `{task}` \| (.+) \|$", table, flags=re.M)
    if small == large:
        assert told == large
    else:
        assert told.startswith(f"{small} for small images")
        assert "at most 64 pixels" in told
        assert told.endswith(f"else {large}")
    # The task's own page says it in a sentence, if at all.
    for sentence in re.findall(r"Without `--model` you get (`.+?)(?=[.,;]\s| with )", page(f"tasks/{task}")):
        assert sentence.startswith((small, large)), sentence
