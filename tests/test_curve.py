"""The label curve: fits that recover planted curves, intervals that hold as often as they say, honest sentences, nested samples."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")

from fewtag.cli.app import app
from fewtag.cli.settings import run_config
from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import LowResource
from fewtag.data.queries import write_corpus
from fewtag.errors import ConfigError
from fewtag.experiments.curve import CurveConfig, measure, shrunk
from fewtag.experiments.curve_page import line_of, page, write_outlook
from fewtag.experiments.forecast import forecast, rounded
from fewtag.experiments.saturation import Curve, fit, middle
from grids import start, wait_for

SIZES = np.repeat([25.0, 50.0, 100.0, 200.0, 400.0], 3)
PLANTED = [(85.0, 45.0, 0.5), (90.0, 60.0, 0.3), (70.0, 40.0, 1.0), (95.0, 50.0, 0.2)]  # a, b in units of the smallest size, c


def _truth(size: float, a: float, b: float, c: float) -> float:
    return float(a - b * (size / 25.0) ** -c)


def _noisy(planted: tuple[float, float, float], sigma: float, seed: int) -> list[float]:
    noise = sigma * np.random.default_rng(seed).standard_normal(len(SIZES))
    return [_truth(size, *planted) + each for size, each in zip(SIZES, noise, strict=True)]


def test_the_ends_of_an_interval_by_hand() -> None:
    assert middle(np.arange(1000.0)[::-1]) == (25, 500, 975)
    assert middle(np.r_[np.zeros(900), np.full(100, np.inf)])[2] == np.inf


def test_a_curve_by_hand() -> None:
    curve = Curve(np.array([80.0, 50.0]), np.array([40.0, 10.0]), np.array([0.5, 1.0]), smallest=25.0)
    assert list(curve.at(100.0)) == [60.0, 47.5]  # 80 - 40 / sqrt(4); 50 - 10 / 4
    assert list(curve.size_for(60.0)) == [100.0, np.inf]


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_curve_is_recovered(planted: tuple[float, float, float]) -> None:
    curve = fit(SIZES, _noisy(planted, 0.02, seed=1))  # type: ignore[arg-type]
    assert curve is not None
    a, b, c = planted
    for draws, value in ((curve.ceiling, a), (curve.rise, b), (curve.exponent, c)):
        low, median, high = middle(draws)
        assert low <= value <= high and median == pytest.approx(value, rel=0.02)
    assert middle(curve.at(1600))[1] == pytest.approx(_truth(1600, *planted), abs=0.3)


def test_the_fit_is_the_least_squares_fit_where_the_data_are_plain() -> None:
    """Against scipy's curve_fit, which knows nothing of priors and grids."""
    optimize = pytest.importorskip("scipy.optimize")
    scores = _noisy((85.0, 45.0, 0.5), 0.3, seed=4)
    found, _ = optimize.curve_fit(_truth_of_array, SIZES, scores, p0=(80.0, 40.0, 0.4))
    curve = fit(SIZES, scores)  # type: ignore[arg-type]
    assert curve is not None
    for size in (25, 50, 100, 200, 400, 800):
        assert middle(curve.at(size))[1] == pytest.approx(_truth(size, *found), abs=0.3)


def _truth_of_array(sizes: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    return a - b * (sizes / 25.0) ** -c


def test_bounds_hold_where_the_data_would_leave_them() -> None:
    """Scores that rise by the logarithm beyond 100, and scores that fall."""
    for scores in (40 + 18 * np.log2(SIZES / 25) / 1.3, 60 - 3 * np.log(SIZES)):
        curve = fit(SIZES, scores)  # type: ignore[arg-type]
        assert curve is not None
        assert curve.ceiling.max() <= 100 and curve.rise.min() >= 0 and (curve.at(25) >= -1).all()
        assert curve.exponent.min() > 0.09 and curve.exponent.max() < 2.2


def test_more_noise_means_wider_intervals() -> None:
    widths = []
    for sigma in (0.3, 1.0, 3.0, 9.0):
        curve = fit(SIZES, _noisy((85.0, 45.0, 0.5), sigma, seed=2))  # type: ignore[arg-type]
        assert curve is not None
        low, _, high = middle(curve.at(1600))
        widths.append(high - low)
    assert widths == sorted(widths) and widths[-1] > 5 * widths[0]


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_intervals_hold_as_often_as_they_say(planted: tuple[float, float, float], sigma: float) -> None:
    """95 % intervals in 200 simulations: fewer than 168 hits would happen once in a billion, were 95 % true; at 90 % once in 500."""
    hits = dict.fromkeys(("ceiling", "double", "quadruple", "labels"), 0)
    target = _truth(1200, *planted)
    for seed in range(200):
        curve = fit(SIZES, _noisy(planted, sigma, seed), seed=seed)  # type: ignore[arg-type]
        assert curve is not None
        draws = {"ceiling": curve.ceiling, "double": curve.at(800), "quadruple": curve.at(1600), "labels": curve.size_for(target)}
        truth = {"ceiling": planted[0], "double": _truth(800, *planted), "quadruple": _truth(1600, *planted), "labels": 1200.0}
        for name, each in draws.items():
            low, _, high = middle(each)
            hits[name] += low <= truth[name] <= high
    assert min(hits.values()) >= 168, hits


def test_enough_data_give_a_number() -> None:
    planted = (90.0, 60.0, 0.5)
    told, _ = forecast("de", list(SIZES), _noisy(planted, 0.3, seed=3), 80.0)
    # 90 - 60 (n / 25)^-0.5 = 80 at n = 900, so 500 more than 400
    assert told.kind == "more" and told.more is not None
    assert told.more[0] <= 500 <= told.more[2] and told.more[1] == pytest.approx(500, rel=0.25)
    assert told.sentence.startswith("about ") and "more labeled sentences to reach 80 in de (between " in told.sentence


def test_flat_is_called_flat() -> None:
    scores = list(60 + 0.4 * np.random.default_rng(0).standard_normal(len(SIZES)))
    told, _ = forecast("nl", list(SIZES), scores, 80.0)
    assert told.kind == "flat" and told.sentence.startswith("flat: stop. Twice the labels would bring nl 0.")


def test_reached_is_called_reached() -> None:
    told, _ = forecast("en", list(SIZES), _noisy((95.0, 45.0, 0.8), 0.3, seed=3), 80.0)
    assert told.kind == "reached" and "80 in en is reached" in told.sentence and told.more == (0.0, 0.0, 0.0)


def test_a_ceiling_below_the_target_is_said() -> None:
    told, _ = forecast("es", list(SIZES), _noisy((62.0, 60.0, 0.5), 0.05, seed=3), 80.0)
    assert told.kind == "out of reach" and "levels out near 62" in told.sentence and told.to_json()["more"] == [None, None, None]


def test_what_the_data_do_not_tell_is_not_told() -> None:
    for sizes, scores, why in (
        (list(SIZES), list(50 + 25 * np.random.default_rng(1).standard_normal(15)), "cannot say: 80 in fr "),
        ([10.0, 20.0], [30.0, 40.0], "cannot say for fr: a curve takes three sizes and four runs at least, and there are 2 and 2"),
        ([10.0, 20.0, 40.0], [30.0, 40.0, 45.0], "and there are 3 and 3"),
    ):
        told, _ = forecast("fr", sizes, scores, 80.0)
        assert told.kind == "cannot say" and why in told.sentence
        json.dumps(told.to_json(), allow_nan=False)


def test_numbers_are_rounded_for_people() -> None:
    assert [rounded(value) for value in (7, 42.4, 117, 1234, 56789)] == ["7", "42", "120", "1,200", "57,000"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curve") / "data"
    write_corpus(folder, scale=0.001)
    return folder


def test_samples_are_nested_and_what_is_left_is_raw_text(data: Path) -> None:
    whole = LowResource.sample(Corpus.from_dir(data, languages=("en", "ja")), labeled="50%")
    before: dict[str, set[str]] = {"en": set(), "ja": set()}
    for share in (0.125, 0.25, 0.5, 1.0):
        part = shrunk(whole, share, seed=3)
        for language in ("en", "ja"):
            ids = {sentence.id for sentence in part.labeled[language]}
            assert len(ids) == round(share * len(whole.labeled[language])) and before[language] < ids
            raw = list(part.unlabeled[language])
            assert all(sentence.tags is None for sentence in raw)
            assert not ids & {sentence.id for sentence in raw}
            assert len(ids) + len(raw) == len(whole.labeled[language]) + len(whole.unlabeled[language])
            before[language] = ids
        assert part.dev == whole.dev and part.test == whole.test
    assert {s.id for s in shrunk(whole, 0.25, 3).labeled["en"]} != {s.id for s in shrunk(whole, 0.25, 4).labeled["en"]}


def test_a_curve_is_measured_reused_and_written(data: Path, tmp_path: Path) -> None:
    quick = {"train.max_steps": 20, "train.evaluate_every": 10, "data.languages": ("en",), "method.name": "supervised-multi"}
    config, plan, said = run_config(None, [], quick, data), CurveConfig(points=3, seeds=2, target=30), []
    outlook = measure(config, plan, tmp_path, listener=said.append)
    assert [(each.share, each.seed) for each in outlook.measurements] == [(s, r) for r in (13, 14) for s in (0.25, 0.5, 1.0)]
    assert len(said) == 6 and all("labeled sentences  dev F1" in sentence for sentence in said)
    sizes = [each.labeled["en"] for each in outlook.measurements]
    assert sizes[2] == 257 and sizes[:3] == sizes[3:] and abs(2 * sizes[0] - sizes[1]) <= 1
    for each in outlook.measurements:
        folders = [f for f in (tmp_path / "runs").iterdir() if f.name.endswith(f"-{100 * each.share:g}")]
        scores = [json.loads((f / "metrics.json").read_text())["dev"]["by_language"]["en"]["f1"] for f in folders]
        assert each.f1["en"] in scores
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/metrics.json")}
    assert measure(config, plan, tmp_path).measurements == outlook.measurements
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/metrics.json")}
    write_outlook(outlook, tmp_path)
    assert json.loads((tmp_path / "curve.json").read_text())["forecasts"]["en"]["target"] == 30
    ElementTree.parse(tmp_path / "curve.svg")
    assert outlook.forecasts["en"].sentence in (tmp_path / "curve.html").read_text()
    assert page(outlook).count("<svg") == 1
    line = line_of(outlook, "en")
    assert line.dashed_from == 257 and len(line.dots) == 6 and line.points[-1][0] == pytest.approx(4 * 257)
    other = run_config(None, [], {**quick, "train.max_steps": 30}, data)
    with pytest.raises(ConfigError, match="holds the curve of another configuration"):
        measure(other, plan, tmp_path)
    assert measure(config, CurveConfig(points=3, seeds=2, target=50), tmp_path).measurements == outlook.measurements


def test_the_method_is_one_that_every_size_can_be_trained_with(data: Path, tmp_path: Path) -> None:
    """Fewer labels leave raw text; all of them leave none."""
    quick = {"train.max_steps": 4, "train.evaluate_every": 4, "data.languages": ("cs",)}
    said: list[str] = []
    outlook = measure(run_config(None, [], quick, data), CurveConfig(points=3, seeds=1), tmp_path / "auto", listener=said.append)
    assert outlook.method == "supervised-multi" and "method supervised-multi, because there is no raw text" in said[0]
    with pytest.raises(ConfigError, match="metats learns from raw text"):
        measure(run_config(None, [], {**quick, "method.name": "metats"}, data), CurveConfig(points=3, seeds=1), tmp_path / "metats")
    assert not (tmp_path / "metats").exists()  # refused before the first run


def test_sizes_that_are_the_same_sentences_are_trained_once(data: Path, tmp_path: Path) -> None:
    """Of 5 labels 6.25, 12.5 and 25 % are all one, 50 % two."""
    quick = {"train.max_steps": 4, "train.evaluate_every": 4, "data.languages": ("en",), "data.labeled": "5"}
    said: list[str] = []
    own = run_config(None, [], {**quick, "method.name": "supervised-multi"}, data)
    outlook = measure(own, CurveConfig(points=5, seeds=2), tmp_path, listener=said.append)
    assert [(each.share, each.labeled["en"]) for each in outlook.measurements] == [(0.25, 1), (0.5, 2), (1.0, 5)] * 2
    same = "% of the labels are the same sentences as a larger share: not trained"
    assert said[:2] == [f"6.25 {same}", f"12.5 {same}"] and said[2].startswith("1/6") and len(said) == 8


def test_ctrl_c_says_how_the_curve_goes_on(data: Path, tmp_path: Path) -> None:
    process = start("curve", data, "-o", "out", "-m", "supervised-multi", "--langs", "en", "--set", "train.patience=99", folder=tmp_path)
    wait_for(lambda: any(tmp_path.glob("out/runs/*/events.jsonl")))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and f"Go on with: fewtag curve {data} -o out -m supervised-multi" in said and "--resume" not in said


def test_a_target_that_is_no_score_is_refused_as_it_was_typed() -> None:
    done = CliRunner().invoke(app, ["curve", ".", "-o", "out", "--target", "-3"])
    assert isinstance(done.exception, ConfigError) and "target = -3.0" in str(done.exception)


def test_a_curve_as_it_is_typed(data: Path, tmp_path: Path) -> None:
    quick = ["--set", "train.max_steps=10", "--set", "train.evaluate_every=10", "-m", "supervised-multi", "--langs", "cs"]
    command = [sys.executable, "-m", "fewtag.cli", "curve", str(data), "-o", str(tmp_path / "out"), "--points", "3", "--seeds", "1", *quick]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot say for cs" in done.stdout and "lenient" in done.stdout and "3/3  seed 13" in done.stderr
    assert (tmp_path / "out" / "curve.html").exists()
    wrong = subprocess.run([*command, "--on", "tset"], capture_output=True, text=True, timeout=120, check=False)
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
