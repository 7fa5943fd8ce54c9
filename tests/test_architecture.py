"""The floors hold: who may import whom, no cycles, no vague names, no long files, and a cheap import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "visus"
FLOORS = (
    {"errors"},
    {"files"},
    {"ops", "structures"},
    {"layers", "losses", "metrics", "data", "answers", "runtimes"},
    {"models", "analysis"},
    {"tasks"},
    {"engine"},
    {"recipes"},
    {"explanation", "stylization", "exporters", "lab", "proof"},
    {"report", "server", "experiments"},
    {"workflow"},
    {"api"},
    {"testing"},
    {"cli"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(ROOT.rglob("*.py"))
LONG_FILES: dict[str, str] = {}
"""File -> the written reason why it may pass 500 lines."""


def imports(path: Path) -> set[str]:
    """Every visus module that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "visus"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "visus":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_keeps_to_its_floor(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    source = path.read_text(encoding="utf-8")
    if parts == ("__init__",) or parts == ("__main__",):
        return
    room = parts[0]
    for module in imports(path):
        other = module.split(".")[1] if "." in module else "visus"
        if other == "visus" or other not in FLOOR:
            assert room == "cli", f"{path} imports visus itself ({module}): only cli/ may"
        else:
            assert other == room or FLOOR[other] < FLOOR[room], f"{path} ({room}) imports {module}: not a floor below"
    assert "import *" not in source
    assert len(source.splitlines()) <= 500 or str(path.relative_to(ROOT)) in LONG_FILES, f"{path} passes 500 lines"
    assert not {"utils", "helpers", "misc", "common", "tools"} & set(parts), f"{path}: name what it holds"


def test_no_import_cycles() -> None:
    dotted = {".".join(("visus", *path.relative_to(ROOT).with_suffix("").parts)): path for path in FILES}
    names = {name.removesuffix(".__init__"): path for name, path in dotted.items()}

    def resolve(module: str) -> str | None:
        return module if module in names else module.rpartition(".")[0] if module.rpartition(".")[0] in names else None

    graph = {name: {r for m in imports(path) if (r := resolve(m)) and r != name} for name, path in names.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in graph[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_no_room_bears_a_public_functions_name() -> None:
    import visus

    assert not {path.name for path in ROOT.iterdir() if path.is_dir()} & set(visus.__all__)


def test_every_room_is_on_a_floor_and_none_is_empty() -> None:
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= set(FLOOR)
    for room in rooms:
        assert any(path.name != "__init__.py" for path in (ROOT / room).rglob("*.py")), f"{room} is empty"


@pytest.mark.parametrize(
    "code",
    [
        "import visus",
        "from visus.cli.main import main; main(['--help'])",
        "from visus.cli.main import main; main(['models'])",
        "from visus.cli.main import main; main(['train', '--help'])",
        "from visus.cli.main import main; main(['train', 'no/such/folder'])",
    ],
)
def test_cheap_verbs_load_neither_torch_nor_a_network(code: str) -> None:
    program = (
        f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', [m for m in sys.modules if m in ('torch', 'torchvision', 'sklearn', 'matplotlib')"
        " or m.startswith('visus.models.') and '.cards.' not in m and m.split('.')[-1] in ('resnet', 'ssd', 'unet')])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert "HEAVY []" in result.stdout, result.stdout + result.stderr


MOST_QUESTIONS = 10
"""So many places outside structures/ may ask of which kind a value is."""


def test_rooms_ask_the_value_and_not_its_kind() -> None:
    """``isinstance`` of a value's class is asked in few places outside structures/, each with its reason above it."""
    from visus.structures import VALUES

    kinds = {kind.__name__ for kind in VALUES} | {"Heatmap", "Value", "VALUES"}
    questions, without_reason = [], []
    for path in FILES:
        if path.relative_to(ROOT).parts[0] == "structures":
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "isinstance":
                continue
            if kinds & _names(node.args[1]):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                questions.append(place)
                if not any("#" in line for line in lines[max(node.lineno - 3, 0) : node.lineno]):
                    without_reason.append(place)
    assert len(questions) <= MOST_QUESTIONS, f"ask the value itself: {questions}"
    assert not without_reason, f"say why in a comment: {without_reason}"


def test_there_is_one_type_of_all_values() -> None:
    """Nothing else than the protocol ``Value`` and the tuple ``VALUES`` lists the kinds of values."""
    from visus.structures import VALUES

    kinds = {kind.__name__ for kind in VALUES}
    lists = {
        str(path.relative_to(ROOT))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if len(kinds & _listed(node)) > 2
    }
    assert lists == {"structures/value.py"}


def _listed(node: ast.AST) -> set[str]:
    """The names that a union or a tuple lists, not those deeper in its entries."""
    if isinstance(node, ast.BinOp):
        return _names(node)
    entries = node.elts if isinstance(node, ast.Tuple) else []
    return {entry.id for entry in entries if isinstance(entry, ast.Name)}


def _names(node: ast.AST) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
