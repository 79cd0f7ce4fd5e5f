"""A comparison keeps nothing to itself: what it could not do, what it was told twice, and against whom it tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fewtag.data.corpus import Corpus
from fewtag.errors import ConfigError
from fewtag.experiments.cell import Task
from fewtag.experiments.claims import claims
from fewtag.experiments.comparison import compare
from fewtag.experiments.engines import Here, Processes
from fewtag.experiments.plan import plan, short_name
from fewtag.experiments.results import Group, Results, Run
from fewtag.experiments.tables import main_table
from fewtag.training.drive import Interrupted
from grids import QUICK, corpus_folder

GROUP = Group("shop", "1%", "compact")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_folder(tmp_path_factory.mktemp("data"))


def planned(shop: Path, **more: Any) -> Any:
    given: dict[str, Any] = {"labeled": ["30%"], "seeds": [1], "encoders": ["compact"], **more}
    return plan([shop], ["supervised-multi"], **given)


def test_a_grid_stopped_before_its_first_run_can_go_on(shop: Path, tmp_path: Path) -> None:
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    for _ in range(2):  # the second call, like the first, is stopped; it is not told that the folder is somebody else's
        with pytest.raises(Interrupted, match="0 of 1 runs are finished"):
            compare(corpus, ["supervised-multi"], out=tmp_path / "out", seeds=1, settings=QUICK, interrupted=lambda: True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labeled": ["30%", "tr=5 pr=2 3"]}, "labeled: unknown language 'pr'"),
        ({"labeled": ["30%"], "settings": {**QUICK, "data.unlabeled": "tt=9 9"}}, "unlabeled: unknown language 'tt'"),
        ({"labeled": ["30%"], "variants": ["less=supervised-multi: sampling.raw_weights.tu=0"]}, "raw_weights: unknown language 'tu'"),
    ],
)
def test_a_language_that_is_not_there_is_refused_before_any_run(shop: Path, tmp_path: Path, more: dict[str, Any], message: str) -> None:
    given = {"settings": QUICK, **more}
    with pytest.raises(ConfigError, match=message):
        compare(shop, ["supervised-multi"], out=tmp_path / "out", seeds=1, bootstrap=0, **given)
    assert not (tmp_path / "out").exists()


def test_what_failed_before_budgets_were_set_is_told(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a corpus without raw text no run of metats finishes, so it has no budget and no second round; it must be told all the same."""
    bare = tmp_path / "bare"
    for language in ("pt", "tr"):
        (bare / language).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (bare / language / f"{split}.conll").write_text("red B-color\nshoe B-thing\n", encoding="utf-8")
    monkeypatch.setattr(sys.modules["fewtag.experiments.comparison"], "engine_of", lambda name, jobs: Here())
    found = compare(
        [shop, bare], ["metats"], out=tmp_path / "out", seeds=1, labeled=["30%"], settings=QUICK, equal_budget=True, bootstrap=0
    ).results
    assert [run.corpus for run in found.runs] == ["shop"] and found.runs[0].budget is not None
    assert [(each["corpus"], each["method"]) for each in found.failed] == [("bare", "metats")]
    assert "raw text" in found.failed[0]["reason"]


@pytest.mark.parametrize(
    "settings",
    [
        {"data": {"labeled": "1%"}},
        {"train": {"seed": 7}},
        {"tagger": {"encoder": "x/y"}},
        {"method": {"name": "vat"}},
        {"data": {"dir": "x"}},
    ],
)
def test_a_setting_that_the_grid_varies_is_refused(shop: Path, settings: dict[str, Any]) -> None:
    ((section, values),) = settings.items()
    with pytest.raises(ConfigError, match=rf"a comparison varies {section}.{next(iter(values))}; leave"):
        planned(shop, settings=settings)


def test_adapted_encoders_are_told_apart_by_their_runs() -> None:
    names = ["runs/adapted/encoder", "/x/longer/encoder", "bert-base-multilingual-cased", "a/mini", "encoder"]
    assert [short_name(name) for name in names] == ["adapted", "longer", "bert-base-multilingual-cased", "mini", "encoder"]


def test_two_encoders_of_one_name_would_stand_in_one_table(shop: Path) -> None:
    with pytest.raises(ConfigError, match="encoder name mini is given twice"):
        planned(shop, encoders=["a/mini", "b/mini"])
    with pytest.raises(ConfigError, match="encoder compact is given twice"):
        planned(shop, encoders=["compact", "compact"])


def test_ablations_are_no_rivals_of_the_whole() -> None:
    """Ours is tested against what stands beside it: 20 points over multi, and nothing over itself without a part."""

    def run(method: str, kind: str, seed: int, f1: float) -> Run:
        scores: dict[str, Any] = {
            "f1": {"en": f1},
            "average": f1,
            "dev_average": 1.0,
            "passes": 1,
            "budget": None,
            "seconds": 1.0,
            "steps": 1,
        }
        place: dict[str, Any] = {"digest": "d", "cell": f"{method}{seed}", "machine": {}}
        return Run("shop", "1%", "compact", method, kind, seed, "test", "lenient", "full", **scores, **place)

    rows = [("supervised-multi", "labels", 40.0), ("metats-paper", "raw", 60.0), ("metats-paper-no-meta", "raw", 60.0)]
    runs = [
        run(m, kind, seed, f1 + seed * shift)
        for m, kind, f1 in rows
        for seed, shift in ((1, 0.0), (2, 0.1), (3, 0.0 if m == "metats-paper" else 0.05))
    ]
    differences, daggers = claims(Results("metats-paper", runs), GROUP, {})
    assert [claim.method for claim in differences] == ["supervised-multi"]
    assert {claim.method for claim in daggers} == {"supervised-multi"}
    shown = [row[0] for section in main_table(Results("metats-paper", runs), GROUP).sections for row in section.rows]
    assert {claim.method for claim in daggers} < set(shown)


def test_paths_reach_a_process_whatever_its_locale(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    (cell,) = planned(shop, settings=QUICK)
    folder = tmp_path / "\u30c7\u30fc\u30bf é"
    task = Task("x", str(folder), cell.config.model_dump(mode="json", exclude_unset=True))
    events = list(Processes(1).run([task], lambda: False))
    assert events[-1].kind == "done", events[-1]
    assert (folder / "metrics.json").exists()
