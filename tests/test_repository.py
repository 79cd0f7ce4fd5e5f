"""What the repository says of itself is true: versions, pins, package data, and every name and link in its documents."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections import Counter
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any, get_origin

import pytest
from packaging.requirements import Requirement
from pydantic import BaseModel

import fewtag

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = ("src", "tests", "docs", "benchmarks", ".ci")
SKIPPED = {"__pycache__", "fewtag.egg-info"}
MACHINES = [f"/{name}/" for name in ("work", "root", "farm", "home", "Users", "opt")]


def files() -> list[Path]:
    """Every file that belongs to the repository."""
    inner = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    found = [path for path in (*ROOT.glob("*"), *inner) if path.is_file() and not SKIPPED & set(path.parts)]
    assert len(found) > 50
    return found


def documents() -> dict[str, str]:
    """Every Markdown document by its path."""
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in files() if path.suffix == ".md"}


def quoted(pattern: str) -> list[tuple[str, str]]:
    """(document, name) of each name between backticks that matches."""
    return [(name, found) for name, text in documents().items() for found in re.findall(f"`({pattern})`", text)]


def test_no_path_of_one_machine() -> None:
    found = []
    for path in files():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        lines = enumerate(text.splitlines(), 1)
        found += [f"{path.relative_to(ROOT)}:{n}: {line.strip()[:120]}" for n, line in lines if any(m in line for m in MACHINES)]
    assert not found, "\n".join(found)


def test_readme_names_the_two_commands_and_make_knows_them() -> None:
    readme, makefile = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_one_version() -> None:
    assert PROJECT["project"]["version"] == fewtag.__version__
    assert f"## [{fewtag.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_pin_is_exact_and_within_the_range_we_promise() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pins = {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}
    assert not [pin for pin in pins.values() if "+" in pin], "a build suffix would keep pip from the build that fits the machine"
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["train"], *extras["hpo"], *extras["dev"], *extras["bench"]]
    assert len(wanted) > 10
    for text in wanted:
        requirement = Requirement(text)
        assert pins[requirement.name.lower()] in requirement.specifier, text


def test_every_file_of_the_package_is_packaged() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["fewtag"]
    package = ROOT / "src" / "fewtag"
    others = [path.relative_to(package).as_posix() for path in files() if package in path.parents and path.suffix != ".py"]
    assert "py.typed" in others
    assert not [name for name in others if not any(fnmatch(name, pattern) for pattern in patterns)]


@pytest.mark.parametrize("name", fewtag.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(fewtag, name) is not None
    assert name in dir(fewtag)


def test_a_wrong_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'fewtag' has no attribute 'trian'"):
        _ = fewtag.trian


def _resolve(dotted: str) -> object:
    """A module, or something inside one: ``fewtag.learning.learner.Learner.descend``."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = (
                found.model_fields[part]
                if isinstance(found, type) and issubclass(found, BaseModel) and part in found.model_fields
                else getattr(found, part)
            )
        return found
    raise ModuleNotFoundError(dotted)


def test_every_code_name_in_the_documents_exists() -> None:
    names = [(document, name) for document, name in quoted(r"fewtag(?:\.\w+)+") if not name.endswith((".toml", ".json"))]
    assert len(names) > 20
    missing = []
    for document, name in names:
        try:
            _resolve(name)
        except (ModuleNotFoundError, AttributeError):
            missing.append(f"{document}: {name}")
    assert not missing, "\n".join(missing)


def test_every_test_named_in_the_documents_exists() -> None:
    names = quoted(r"tests/\w+\.py(?:::\w+)?")
    assert len(names) > 10
    missing = []
    for document, name in names:
        path, _, function = name.partition("::")
        known = (ROOT / path).exists() and (not function or f"def {function}(" in (ROOT / path).read_text(encoding="utf-8"))
        missing += [] if known else [f"{document}: {name}"]
    assert not missing, "\n".join(missing)


def _is_setting(model: type[BaseModel], keys: list[str]) -> bool:
    field = model.model_fields.get(keys[0])
    if field is None or len(keys) == 1:
        return field is not None
    inner = field.annotation
    if get_origin(inner) is dict:  # any key, such as a language
        return len(keys) == 2
    return isinstance(inner, type) and issubclass(inner, BaseModel) and _is_setting(inner, keys[1:])


def test_every_setting_named_in_the_documents_exists() -> None:
    from fewtag.methods import METHODS
    from fewtag.training.run_config import RunConfig

    sections = "|".join(set(RunConfig.model_fields) - {"version"})
    names = [(document, text.partition("=")[0]) for document, text in quoted(rf"(?:{sections})\.[a-z_]+(?:\.[a-z_]+)*(?:=[^`]*)?")]
    names = [(document, name) for document, name in names if not name.endswith((".py", ".json", ".toml"))]
    assert len(names) > 10 and "pretraining.lr" in {name for _, name in names}
    models = [row.config for row in METHODS.values()]
    missing = []
    for document, name in names:
        section, *keys = name.split(".")
        known = (
            keys == ["name"] or any(_is_setting(model, keys) for model in models)
            if section == "method"
            else _is_setting(RunConfig, [section, *keys])
        )
        missing += [] if known else [f"{document}: {name}"]
    assert not missing, "\n".join(missing)


def test_every_open_point_of_the_paper_has_its_row() -> None:
    rows = Counter(re.findall(r"^\| A(\d+) \|", documents()["docs/paper.md"], re.MULTILINE))
    assert rows == Counter({str(number): 1 for number in range(1, 39)})


def test_the_points_without_a_setting_are_those_that_the_method_names() -> None:
    rows = re.findall(r"^\| (A\d+) \|(?:[^|]*\|){3} ([^|]*) \|", documents()["docs/paper.md"], re.MULTILINE)
    assert len(rows) == 38
    said = import_module("fewtag.methods.metats").__doc__ or ""
    assert re.findall(r"\bA\d+\b", said) == sorted(point for point, setting in rows if setting == "—")


def test_every_method_is_documented() -> None:
    from fewtag.methods import METHODS

    text = documents().get("docs/methods.md")
    if text is None:
        pytest.skip("there is no docs/methods.md yet")
    assert not [name for name in METHODS if f"`{name}`" not in text]


def test_every_link_inside_the_documents_leads_somewhere() -> None:
    links = [(name, link) for name, text in documents().items() for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)]
    local = [(name, link) for name, link in links if "://" not in link and not link.startswith("mailto:")]
    assert local
    assert not [f"{name}: {link}" for name, link in local if not (ROOT / name).parent.joinpath(link).exists()]


def test_tables_of_results_are_those_of_the_runs() -> None:
    done = subprocess.run([sys.executable, "benchmarks/tables.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
