"""The study: every arm is a grid, every row has a judge that stands in its table, and a table says what was worked by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fewtag.experiments.plan import plan
from fewtag.experiments.results import Results, Run
from fewtag.experiments.variants import variant
from grids import QUICK, corpus_folder

BENCHMARKS = str(Path(__file__).parent.parent / "benchmarks")


@pytest.fixture(scope="module")
def arms() -> Any:
    sys.path.insert(0, BENCHMARKS)
    try:
        from study import ARMS
        from study_table import study_table
    finally:
        sys.path.remove(BENCHMARKS)
    return ARMS, study_table


def test_every_arm_is_a_grid_whose_rows_differ(arms: Any, tmp_path: Path) -> None:
    shop = corpus_folder(tmp_path)
    assert len(arms[0]) > 5
    for arm in arms[0].values():
        rows = [variant(f"{name}={settings}") for name, settings in arm.variants.items()]
        cells = plan([shop], arm.rows, variants=rows, labeled=["30%"], seeds=[1], encoders=["compact"], settings=QUICK)
        assert len({cell.digest for cell in cells}) == len(arm.rows) + len(rows), arm.about


def test_every_variant_has_a_judge_that_is_a_row_of_its_arm(arms: Any) -> None:
    for name, arm in arms[0].items():
        rows = {*arm.rows, *arm.variants}
        judges = {row: arm.judge(row) for row in rows}
        assert arm.reference in rows and set(arm.judges) <= rows and set(judges.values()) <= rows | {""}, name
        assert not [row for row, judge in judges.items() if row == judge], name
        assert [row for row in arm.variants if not judges[row] and row != arm.reference] == [], name


def run_of(row: str, seed: int, average: float) -> Run:
    given: dict[str, Any] = {
        "split": "test",
        "mode": "lenient",
        "dev": "full",
        "dev_average": 40 + average,
        "passes": 1000 * seed,
        "budget": None,
    }
    where = ("shop", "1%", "compact", row, "raw", seed)
    variant_text = "" if row == "metats" else f"metats with {row}"
    return Run(
        *where, f1={"de": average}, average=average, seconds=1.0, steps=1, digest="d", cell=row, machine={}, variant=variant_text, **given
    )


def test_a_row_is_judged_seed_by_seed(arms: Any, tmp_path: Path) -> None:
    """Differences of 1, 2 and 3 have t = 2 / (1 / sqrt 3) = 3.464, and with two degrees p = 1 - t / sqrt(t^2 + 2) = 0.0742."""
    scores = {"metats": [30, 31, 35], "soft": [31, 33, 38], "sample": [30, 32, 34], "soft-high": [29], "supervised-multi": [28, 28, 28]}
    runs = [run_of(row, seed, value) for row, some in scores.items() for seed, value in enumerate(some, 1)]
    typed = "fewtag compare shop -m metats --variant 'soft=metats: method.labels=soft' --seeds 3 --shared-start --equal-budget --set a=1"
    Results("metats", runs, command=typed).save(tmp_path / "x.json")

    text = arms[1](tmp_path / "x.json", "labels")

    rows = {line.split("`")[1]: [cell.strip() for cell in line.split("|")[2:-1]] for line in text.splitlines() if line.startswith("| `")}
    assert rows["metats"] == ["3", "72.00", "**32.00**", "2.65", "", "", "", "", "2,000"]
    # Holm over two rows: the smaller p counts twice; the larger is 1, its mean difference being 0.
    assert rows["soft"] == ["3", "74.00", "**34.00**", "3.61", "`metats`", "+1.0 +2.0 +3.0", "+2.00", "0.148", "2,000"]
    assert rows["sample"] == ["3", "72.00", "**32.00**", "2.00", "`metats`", "+0.0 +1.0 -1.0", "+0.00", "1.000", "2,000"]
    assert rows["soft-high"] == ["1", "69.00", "**29.00**", "", "`metats`", "-1.0", "-1.00", "", "1,000"]
    assert rows["supervised-multi"][4:8] == ["", "", "", ""]
    assert "- `soft`: metats with soft." in text
    assert text.endswith("`python benchmarks/study.py labels shop --seeds 3 --set a=1`")
