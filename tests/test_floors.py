"""The walls of the house (docs/architecture.md): which room may import which, read from the source.

An import counts wherever it stands: inside a function and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
FLOORS = {
    "errors": 0,
    "encoders": 1,
    "text": 2,
    "config": 2,
    "tagger": 3,
    "data": 3,
    "learning": 4,
    "evaluation": 4,
    "serving": 4,
    "methods": 5,
    "training": 6,
    "experiments": 7,
    "cli": 8,
    "__main__": 9,
}
MAY_NOT_SEE = {"methods": {"data", "evaluation"}}  # stricter than the floors
NO_TORCH = ("errors", "config", "text", "data", "evaluation")
TORCH = {"torch", "safetensors", "transformers", "tokenizers"}
MAX_LINES = 320
VAGUE = {"util", "utils", "common", "helper", "helpers", "misc", "core", "base"}


@dataclass(frozen=True)
class Import:
    """One import: which module of ours asks for which module, and where."""

    module: str
    target: str
    place: str


def modules(source: Path) -> dict[str, Path]:
    """Every module under ``source`` by its dotted name."""
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source: Path) -> Iterator[Import]:
    """Every import of every module; ``from a import b`` is an import of ``a.b`` where that is a module of ours, else of ``a``."""
    ours = modules(source)
    for module, path in ours.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            place = f"{path.relative_to(source)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(module, alias.name, place)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{place}: a relative import; this test reads absolute ones"
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield Import(module, inner if inner in ours else str(node.module), place)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
                assert module == "fewtag", f"{place}: an import by name, which this test cannot follow"


def room_of(module: str) -> str:
    """``fewtag.data.corpus`` is in the room ``data``; the top level is the room ``""``."""
    return module.split(".")[1] if "." in module else ""


def wrong_ways(source: Path) -> list[str]:
    """Imports that go up, sideways, or past a wall. The top level is everybody's: it only points at the public names."""
    found = []
    for each in imports(source):
        here, there = room_of(each.module), room_of(each.target)
        if not here:
            continue
        if each.target.split(".")[0] in TORCH and here in NO_TORCH:
            found.append(f"{each.place}: {here} imports {each.target}, and must work without torch")
        if each.target.split(".")[0] != "fewtag" or not there or here == there:
            continue
        if FLOORS[there] >= FLOORS[here] or there in MAY_NOT_SEE.get(here, ()):
            found.append(f"{each.place}: {here} (floor {FLOORS[here]}) imports {each.target} (floor {FLOORS[there]})")
    return found


def circles(source: Path) -> list[str]:
    """Groups of files that import each other."""
    ours = modules(source)
    graph: dict[str, set[str]] = {module: set() for module in ours}
    for each in imports(source):
        if each.target in ours and each.module != "fewtag" and each.target != "fewtag":
            graph[each.module].add(each.target)

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(graph[start])
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting += graph[module]
        return seen

    beyond = {module: reachable(module) for module in graph}
    groups = {tuple(sorted(other for other in beyond[m] if m in beyond[other])) for m in graph if m in beyond[m]}
    return [" <-> ".join(group) for group in sorted(groups)]


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(module) for module in modules(SOURCE)} - {""}
    assert rooms <= set(FLOORS), "a new room needs a floor here and in docs/architecture.md"


def test_rooms_import_only_what_lies_below() -> None:
    assert not (found := wrong_ways(SOURCE)), "\n".join(found)


def test_no_file_is_in_an_import_circle() -> None:
    assert not (found := circles(SOURCE)), "\n".join(found)


def test_files_are_short() -> None:
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules(SOURCE).items()}
    too_long = [f"{module}: {count} lines, more than {MAX_LINES}; one idea?" for module, count in lengths.items() if count > MAX_LINES]
    assert not too_long, "\n".join(too_long)


def test_names_say_what_is_inside() -> None:
    vague = [str(path) for path in SOURCE.rglob("*") if path.stem.lower().strip("_") in VAGUE]
    assert not vague, "\n".join(vague)


BAD_HOUSE = {
    "fewtag/__init__.py": "",
    "fewtag/text/__init__.py": "def late():\n    import torch.nn\n",
    "fewtag/data/__init__.py": "",
    "fewtag/data/corpus.py": "from fewtag.errors import X\n\ndef late():\n    from fewtag.training import run\n",
    "fewtag/data/one.py": "from fewtag.data import two\n",
    "fewtag/data/two.py": "def late():\n    from fewtag.data.one import y\n",
    "fewtag/errors.py": "",
    "fewtag/methods/__init__.py": "from fewtag.learning import losses\nfrom fewtag.data.corpus import Corpus\n",
    "fewtag/learning/__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fewtag.evaluation import Report\n",
    "fewtag/evaluation/__init__.py": "from fewtag.evaluation.report import Report\n",
    "fewtag/evaluation/report.py": "from fewtag import __version__\nimport torchmetrics\n",
    "fewtag/training/__init__.py": "",
    "fewtag/training/run.py": "import torch\n",
}


def test_the_walls_would_be_noticed(tmp_path: Path) -> None:
    for name, text in BAD_HOUSE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert sorted(found.split(": ")[0] for found in wrong_ways(tmp_path)) == [
        "fewtag/data/corpus.py:4",  # up, inside a function
        "fewtag/learning/__init__.py:3",  # sideways, for a type hint
        "fewtag/methods/__init__.py:2",  # down, but past a wall
        "fewtag/text/__init__.py:2",  # torch
    ]
    assert circles(tmp_path) == ["fewtag.data.one <-> fewtag.data.two"]


def test_imports_by_name_and_relative_ones_are_refused(tmp_path: Path) -> None:
    for text in ("from . import data\n", "import importlib\nimportlib.import_module('fewtag.cli')\n"):
        (tmp_path / "fewtag" / "text").mkdir(parents=True, exist_ok=True)
        (tmp_path / "fewtag" / "text" / "__init__.py").write_text(text, encoding="utf-8")
        with pytest.raises(AssertionError, match=r"__init__\.py:\d"):
            list(imports(tmp_path))


WITHOUT_TORCH = f"""
import sys

class Wall:
    def __init__(self, finders):
        self.finders = finders

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in {sorted(TORCH)}:
            found = (finder.find_spec(name, path, target) for finder in self.finders)
            return next((spec for spec in found if spec), None)

sys.meta_path[:] = [Wall(list(sys.meta_path))]
"""


def _without_torch(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + code, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )


def test_the_wall_hides_torch() -> None:
    done = _without_torch("import torch")
    assert done.returncode == 1
    assert "No module named 'torch'" in done.stderr


def test_data_and_scores_need_no_torch(data_folder: Path) -> None:
    done = _without_torch(
        "import fewtag, fewtag.evaluation\n"
        "corpus = fewtag.Corpus.from_dir(sys.argv[1])\n"
        "gold = {language: [s.tags for s in splits['test']] for language, splits in corpus.sentences.items()}\n"
        "print(corpus.languages, fewtag.evaluate(gold, gold).average_f1)\n",
        str(data_folder),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("('en', 'no', 'zh') 100.0", "['en', 'no', 'zh'] 100.0")


def test_the_command_line_checks_data_without_torch(data_folder: Path) -> None:
    done = _without_torch("sys.argv[0] = 'fewtag'\nfrom fewtag.cli import main\nmain()", "check", str(data_folder), "--json")
    assert done.returncode == 0, done.stderr
    assert '"ok": true' in done.stdout


def test_training_without_torch_names_the_extra(data_folder: Path) -> None:
    done = _without_torch(
        "sys.argv[0] = 'fewtag'\nfrom fewtag.cli import main\nmain()", "train", str(data_folder), "-o", str(data_folder / "run")
    )
    assert done.returncode == 4
    assert 'pip install "fewtag[train]"' in done.stderr


def test_importing_fewtag_loads_no_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, fewtag; print([m for m in sys.modules if m.split('.')[0] in ('torch', 'numpy', 'pydantic')])"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
