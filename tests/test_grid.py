"""The grid: cells by digest, shared samples, reuse, resume, failures, deaths of workers and parents."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fewtag
from fewtag.data.corpus import Corpus
from fewtag.errors import ConfigError, DataError, FewtagError
from fewtag.experiments.cell import locked
from fewtag.experiments.claims import _counts
from fewtag.experiments.comparison import compare
from fewtag.experiments.grid import Board
from fewtag.experiments.plan import chosen_methods, chosen_seeds, kind_of, plan
from fewtag.experiments.results import Results
from fewtag.experiments.variants import variant
from fewtag.methods import METHODS
from fewtag.training.folder import RunFolder
from fewtag.training.prepare import build_method, sample
from grids import QUICK, WORDS, corpus_folder, finished, killed_and_finished, metrics, start, wait_for, workers
from test_tables import run_of

METHOD_NAMES = ["supervised-single", "supervised-multi", "metats", "supervised-full"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def done(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Four methods, two seeds, run in this process."""
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    return compare(corpus, METHOD_NAMES, out=tmp_path_factory.mktemp("out"), labeled=["30%"], seeds=2, settings=QUICK, bootstrap=200)


def cells_of(shop: Path, **more: Any) -> Any:
    given: dict[str, Any] = {"labeled": ["10%", "30%"], "seeds": [1, 2], "encoders": ["compact"], "settings": QUICK, **more}
    return plan([shop], METHOD_NAMES, **given)


def test_a_grid_is_the_product_of_what_was_asked_for(shop: Path) -> None:
    cells = cells_of(shop)
    assert len(cells) == 2 * 2 * len(METHOD_NAMES)
    assert {(c.labeled, c.method, c.seed) for c in cells} == {(f, m, s) for f in ("10%", "30%") for m in METHOD_NAMES for s in (1, 2)}
    # Every label there is does not depend on the fraction: one run stands in both tables. All others are their own.
    assert len({cell.name for cell in cells}) == len(cells) - 2
    assert len({cell.name for cell in cells_of(shop, settings={**QUICK, "data": {"dev": "matched"}})}) == len(cells)


def test_the_rows_of_a_seed_share_their_labeled_sentences(done: Any) -> None:
    chosen: dict[int, dict[str, Any]] = {}
    for run in done.results.runs:
        data = json.loads((done.out / "cells" / run.cell / "data.json").read_text())
        chosen.setdefault(run.seed, {})[run.method] = data["labeled_ids"]
    for seed in (1, 2):
        single, multi, metats, full = (chosen[seed][method] for method in METHOD_NAMES)
        assert single == multi == metats
        assert all(set(metats[language]) < set(full[language]) for language in ("pt", "tr"))
    assert chosen[1]["metats"] != chosen[2]["metats"]


def test_every_method_of_the_table_would_share_them(shop: Path) -> None:
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    cells = plan([shop], list(METHODS), labeled=["10%"], seeds=[4], encoders=["compact"], settings=QUICK)
    samples = {c.method: {lang: [s.id for s in some] for lang, some in sample(c.config, corpus).labeled.items()} for c in cells}
    first = samples["supervised-multi"]
    assert {method for method, ids in samples.items() if ids != first} == {m for m in METHODS if kind_of(m) == "all"}


def test_what_a_run_says_of_itself_stands_in_the_results(done: Any) -> None:
    found = Results.load(done.out / "compare.json")
    assert found == done.results
    assert {(run.method, run.kind) for run in found.runs} >= {("metats", "raw"), ("supervised-full", "all"), ("supervised-multi", "labels")}
    for run in found.runs:
        said = json.loads((done.out / "cells" / run.cell / "metrics.json").read_text())
        assert (run.average, run.passes, run.digest) == (said["test"]["average_f1"], said["passes"], said["digest"])
        assert run.f1 == {language: part["f1"] for language, part in said["test"]["by_language"].items()}
    # 12 supervised steps, one batch there and back; MetaTS: these, 12 of 14 passes, 6 of fine-tuning; single: once a language
    passes = {run.method: run.passes for run in found.runs}
    assert passes == {"supervised-single": 72, "supervised-multi": 36, "metats": 36 + 12 * 14 + 18, "supervised-full": 36}


def test_finished_runs_are_reused_and_other_files_refused(done: Any, shop: Path, tmp_path: Path) -> None:
    before, boards = finished(done.out), list[Board]()
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    again = compare(corpus, METHOD_NAMES, out=done.out, labeled=["30%"], seeds=2, settings=QUICK, bootstrap=200, watch=boards.append)
    assert finished(done.out) == before and boards[-1].reused == len(before)
    assert again.results == done.results
    other = corpus_folder(tmp_path)
    with (other / "tr" / "train.conll").open("a", encoding="utf-8") as file:
        file.write("\nyeni O\n")
    changed = Corpus.from_dir(other, languages=["pt", "tr"])
    with pytest.raises(ConfigError, match="a run on other files than those of shop now"):
        compare(changed, METHOD_NAMES, out=done.out, labeled=["30%"], seeds=2, settings=QUICK)


def test_a_failed_run_is_told_at_the_end_and_the_rest_goes_on(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "en").mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (tmp_path / "data" / "en" / f"{split}.conll").write_text("red B-color\nshoe B-thing\n", encoding="utf-8")
    words = ["compare", "data", "-o", "out", "-m", "supervised-multi,metats", "--seeds", 1, *WORDS[:-2]]
    process = start(*words, folder=tmp_path)
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "1 run failed" in said and "method metats learns from raw text" in said and "Traceback" not in said
    assert "Failed: metats seed 1: method metats learns from raw text" in printed
    assert "supervised-multi" in printed and "One seed: no mark" not in printed
    assert "No Δ and no p: metats, with which the methods are compared, has no finished run here; --ours names another." in printed


def finished_tables(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in [*out.glob("compare.*"), *out.glob("tables/*")]}


def test_a_command_of_which_nothing_finished_leaves_the_tables_there(shop: Path, tmp_path: Path) -> None:
    """Raw text is forgotten by a command that asks for every label; it says why once, and takes nothing away."""
    process = start("compare", shop, "-o", "out", "-m", "supervised-multi", "--labeled", "30%", "--seeds", 1, *WORDS, folder=tmp_path)
    assert process.communicate(timeout=120) and process.returncode == 0
    before = finished_tables(tmp_path / "out")
    process = start("compare", shop, "-o", "out", "-m", "metats", "--seeds", 2, "-q", *WORDS, folder=tmp_path)
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 1 and printed == ""
    assert "2 runs failed, and none has finished, so no table was made of this command; the same command tries again:" in said
    assert said.count("method metats learns from raw text") == 1
    assert before and finished_tables(tmp_path / "out") == before


def test_an_encoder_that_is_not_there_is_told_before_the_first_run(shop: Path, tmp_path: Path) -> None:
    words = ["compare", shop, "-o", "out", "-m", "supervised-multi", "--seeds", 2, "--encoder", "./nowhere", "--labeled", "30%", *WORDS]
    process = start(*words, folder=tmp_path)
    printed, said = process.communicate(timeout=120)
    assert (process.returncode, printed) == (4, "") and said.count("./nowhere") == 1 and not list((tmp_path / "out").glob("compare.*"))


def test_processes_give_what_this_process_gives_through_every_death(done: Any, shop: Path, tmp_path: Path) -> None:
    """A worker is killed, then the parent; the workers go with it; the next call finishes, and every number is the same."""
    methods = ",".join(METHOD_NAMES)
    words = ["compare", shop, "-o", "out", "-m", methods, "--labeled", "30%", "--seeds", 2, "-j", 2, "--bootstrap", 200, *WORDS]
    told = killed_and_finished(words, tmp_path / "out", kill_worker_at=1, kill_parent_at=3)
    assert metrics(tmp_path / "out") == metrics(done.out)
    assert Results.load(tmp_path / "out" / "compare.json").tests == done.results.tests
    assert "gap closed" in told


def test_ctrl_c_says_how_to_go_on(shop: Path, tmp_path: Path) -> None:
    words = ["compare", shop, "-o", "out", "-m", "metats", "--seeds", 3, "--labeled", "30%", *WORDS, "--set", "train.max_steps=2000"]
    process = start(*words, folder=tmp_path)
    wait_for(lambda: any((tmp_path / "out").glob("cells/*/checkpoints/step-*")) or process.poll() is not None)
    children = workers(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and children
    assert "0 of 3 runs are finished" in said and f"Go on with: fewtag compare {shop} -o out" in said


def test_equal_budgets_are_those_of_the_longest(shop: Path, tmp_path: Path) -> None:
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    methods, given = ["supervised-single", "metats"], {"labeled": ["30%"], "seeds": 1, "settings": QUICK, "bootstrap": 0}
    found = compare(corpus, methods, out=tmp_path, equal_budget=True, **given)
    longest = 36 + 12 * 14 + 18
    assert {run.budget for run in found.results.runs} == {longest}
    # A run ends with the step that reaches its budget: at most one step of each stage beyond it; a third step of two languages
    assert all(longest <= run.passes < longest + 14 for run in found.results.runs), [run.passes for run in found.results.runs]
    assert f"every run ends with the step that makes it {longest} encoder passes" in str(found)


def test_settings_of_a_method_go_to_the_methods_that_have_them(shop: Path) -> None:
    cells = cells_of(shop, settings={"method": {"threshold": 0.7}})
    assert {cell.method for cell in cells if cell.config.method.get("threshold") == 0.7} == {"metats"}
    with pytest.raises(ConfigError, match=r"none of the methods .* has the key method.treshold"):
        cells_of(shop, settings={"method": {"treshold": 0.7}})


def test_a_variant_is_a_row_of_its_own(shop: Path) -> None:
    """Its settings are its alone; it shares the run of a row that says the same; one of a method's name takes the method's place."""
    cells = cells_of(
        shop,
        labeled=["10%"],
        variants=[
            variant("long=supervised-multi: train.max_steps=18"),
            variant("same = supervised-multi:"),
            variant("soft=metats: method.labels=soft method.feedback.kind=token"),
            variant("supervised-full=supervised-full: train.max_steps=20"),
        ],
    )
    first = [cell for cell in cells if cell.seed == 1]
    assert [cell.method for cell in first] == [*METHOD_NAMES, "long", "same", "soft"]
    by_row = {cell.method: cell for cell in first}
    steps = {name: cell.config.train.max_steps for name, cell in by_row.items()}
    assert steps == {**dict.fromkeys(by_row, 12), "long": 18, "supervised-full": 20}
    assert by_row["same"].name == by_row["supervised-multi"].name != by_row["long"].name
    assert by_row["soft"].config.method == {"name": "metats", "labels": "soft", "feedback": {"kind": "token"}}
    assert "labels" not in by_row["metats"].config.method


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metats", 'write "name=method: key=value'),
        ("x=metats method.labels=soft", 'write "name=method: key=value'),
        ("a b=metats:", "letters, digits and"),
        ("x=metatz:", "metats"),
        ("vat=metats:", "has the name of another method"),
        ("x=metats: labels", "write key=value"),
        ("x=metats: 'method.labels=soft", "cannot be split"),
        ("x=vat: method.labels=soft", "labels"),
        ("x=metats: train.seed=3", "a comparison varies train.seed"),
        ("x=metats: train.stepz=3", "stepz"),
    ],
)
def test_a_variant_that_makes_no_sense_is_refused(shop: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cells_of(shop, variants=[variant(text)])


def test_sentences_that_each_seed_cuts_for_itself_are_not_set_side_by_side(tmp_path: Path) -> None:
    """As many they may be, and are others."""
    folder = RunFolder(tmp_path / "cells" / "a")
    folder.counts("dev").parent.mkdir(parents=True)
    folder.counts("dev").write_text(json.dumps({"mode": "lenient", "counts": {"de": [[1, 1, 1]]}}))
    run = run_of("metats", 1, {"de": 1.0}, split="dev", cell="a")
    assert _counts(run, tmp_path) == {"de": [[1, 1, 1]]}
    assert _counts(replace(run, dev="matched"), tmp_path) is None


def test_without_dev_and_test_the_rows_of_a_seed_are_scored_on_the_same_sentences(shop: Path, tmp_path: Path) -> None:
    """Those that a run kept aside; of other seeds they are others, so there is no bootstrap, and the table says all of it."""
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    for splits in corpus.sentences.values():
        splits["train"] = splits.pop("dev")  # which is larger
        del splits["test"]
    methods = ["supervised-multi", "smooth-bond", "supervised-full"]
    found = compare(corpus, methods, out=tmp_path, labeled=["30%"], seeds=2, settings=QUICK, bootstrap=50)
    scored: dict[int, set[str]] = {}
    for run in found.results.runs:
        folder = RunFolder(tmp_path / "cells" / run.cell)
        ids = [json.loads(line)["id"] for path in folder.path.glob("predictions/dev.*.jsonl") for line in path.read_text().splitlines()]
        scored.setdefault(run.seed, set()).add(" ".join(sorted(ids)))
    assert [len(each) for each in scored.values()] == [1, 1] and scored[1] != scored[2]
    assert not found.results.tests[0]["differences"][0]["bootstrap_p"]
    said = str(found)
    assert "dev span F1 in percent" in said and "each seed's own dev" in said and "no bootstrap over sentences" in said
    assert "No dev split: pt, tr. A run stops by a fifth of what was to be labeled, kept from training, and is scored on them" in said


def test_a_language_that_is_not_scored_is_named(shop: Path, tmp_path: Path) -> None:
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    del corpus.sentences["tr"]["test"]
    found = compare(corpus, ["supervised-multi"], out=tmp_path, labeled=["30%"], seeds=1, settings=QUICK, bootstrap=0)
    assert "Trained on but not scored, having no sentences to score: tr." in str(found) and "No dev split" not in str(found)


@pytest.mark.parametrize("name", ["data.json", "metrics.json", "env.json", "predictions/test.counts.json"])
def test_a_damaged_file_of_a_finished_run_is_named(name: str, done: Any, shop: Path, tmp_path: Path) -> None:
    shutil.copytree(done.out, tmp_path / "out")
    path = tmp_path / "out" / "cells" / next(run.cell for run in done.results.runs if run.method == "metats") / name
    path.write_bytes(path.read_bytes()[:-20])
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: not readable as a JSON object.*; remove .*/cells/[^/]+ to have"):
        compare(corpus, METHOD_NAMES, out=tmp_path / "out", labeled=["30%"], seeds=2, settings=QUICK, bootstrap=200)


def test_the_versions_are_those_the_runs_were_made_with(done: Any, shop: Path, tmp_path: Path) -> None:
    """Finished runs are reused on another machine, with other packages, too."""
    out = tmp_path / "moved"
    shutil.copytree(done.out, out)
    assert done.results.versions["fewtag"] == fewtag.__version__
    for number, path in enumerate(sorted((out / "cells").glob("*/env.json"))):
        said = json.loads(path.read_text())
        path.write_text(json.dumps({**said, "versions": {"torch": "1.0" if number else "2.0", "numpy": "0.1"}}))
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    again = compare(corpus, METHOD_NAMES, out=out, labeled=["30%"], seeds=2, settings=QUICK, bootstrap=0)
    assert sorted(again.results.versions["torch"].split(", ")) == ["1.0", "2.0"] and again.results.versions["numpy"] == "0.1"
    assert set(again.results.versions) == {"torch", "numpy"}


def test_tables_of_another_command_do_not_stay(done: Any, shop: Path, tmp_path: Path) -> None:
    shutil.copytree(done.out, tmp_path / "out")
    mine = tmp_path / "out" / "tables" / "notes.md"
    mine.write_text("of the user")
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    compare(corpus, METHOD_NAMES[1:2], out=tmp_path / "out", labeled=["10%"], seeds=1, settings=QUICK, bootstrap=0)
    names = sorted({path.stem for path in mine.parent.iterdir()})
    assert names == ["main-shop-10pc-compact", "notes", "statistics"] and mine.read_text() == "of the user"


def test_variants_stand_in_the_tables(shop: Path, tmp_path: Path) -> None:
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    rows = ["short=supervised-multi: train.max_steps=6", "no-meta=metats: method.weight_meta=0"]
    found = compare(
        corpus, ["supervised-multi"], variants=rows, ours="no-meta", out=tmp_path, labeled=["30%"], seeds=1, settings=QUICK, bootstrap=0
    )
    kinds = {run.method: run.kind for run in found.results.runs}
    assert kinds == {"supervised-multi": "labels", "short": "labels", "no-meta": "raw"}
    assert "no-meta minus the method" in str(found) and "no-meta: metats with method.weight_meta=0." in str(found)
    assert {run.method: run.variant for run in found.results.runs}["short"] == "supervised-multi with train.max_steps=6"
    with pytest.raises(ConfigError, match="not among the methods supervised-multi, short"):
        compare(corpus, ["supervised-multi"], variants=rows[:1], ours="metats", out=tmp_path, labeled=["30%"], seeds=1, settings=QUICK)


def test_a_configuration_read_back_leaves_the_row_its_own_settings(shop: Path) -> None:
    """A row's optimizer settings hold in a run that is resumed as in the run that was begun."""
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    (cell,) = plan([shop], ["metats-paper"], labeled=["10%"], seeds=[1], encoders=["compact"])

    data = sample(cell.config, corpus)
    whole = type(cell.config)(**cell.config.model_dump())
    begun, resumed = (build_method("metats-paper", config, data) for config in (cell.config, whole))
    assert begun.delivered.config == resumed.delivered.config
    assert begun.delivered.config.head_lr == "same"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labeled": ["10"]}, None),
        ({"labeled": ["10%", "10%"]}, "labeled fraction 10% is given twice"),
        ({"labeled": ["half"]}, "labeled 'half' cannot be read"),
        ({"labeled": ["50%", "5%", "50.0%"]}, "labeled fractions 50% and 50.0% are the same"),
        ({"seeds": []}, "at least one seed"),
        ({"encoders": ["compact", "compact"]}, "encoder compact is given twice"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(shop: Path, wrong: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert cells_of(shop, **wrong)
        return
    with pytest.raises(ConfigError, match=message):
        cells_of(shop, **wrong)


def test_lists_are_read_as_people_write_them() -> None:
    assert chosen_seeds("3") == [1, 2, 3] and chosen_seeds("3,7") == [3, 7] and chosen_seeds("7,") == [7]
    assert chosen_methods("all") == list(METHODS) and chosen_methods("metats, vat") == ["metats", "vat"]
    for wrong in ("0", "", "x", "-1", "1.5"):
        with pytest.raises(ConfigError, match="cannot be read"):
            chosen_seeds(wrong)
    for many in ("1001", ",".join(map(str, range(1001)))):
        with pytest.raises(ConfigError, match="more than 1000; five are usual"):
            chosen_seeds(many)
    with pytest.raises(ConfigError, match="Did you mean 'metats'"):
        chosen_methods("metas")


def test_a_folder_of_something_else_is_refused(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="no comparison"):
        compare(shop, ["supervised-multi"], out=tmp_path)
    with pytest.raises(ConfigError, match="in this process"):
        compare(Corpus.from_dir(shop, languages=["tr"]), ["supervised-multi"], out=tmp_path / "new", jobs=2)
    with pytest.raises(ConfigError, match="jobs must be 1 or more"):
        compare(shop, ["supervised-multi"], out=tmp_path / "new", jobs=0)


def test_two_grids_do_not_share_a_folder(tmp_path: Path) -> None:
    with locked(tmp_path / "cells", patience=0), pytest.raises(FewtagError, match="another process is at work"):  # noqa: SIM117
        with locked(tmp_path / "cells", patience=0):
            pytest.fail("two processes hold one folder")


def test_compare_is_public() -> None:
    assert fewtag.compare is compare


WITHOUT_RAY = "import sys; sys.modules['ray'] = None; sys.argv[0] = 'fewtag'\nfrom fewtag.cli import main\nmain()"


def test_without_ray_the_extra_is_named(shop: Path, tmp_path: Path) -> None:
    words = ["compare", str(shop), "-o", str(tmp_path / "out"), "-m", "supervised-multi", "--engine", "ray"]
    done = subprocess.run([sys.executable, "-c", WITHOUT_RAY, *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 4
    assert done.stderr.strip() == 'error: ray is not installed. This needs: pip install "fewtag[ray]"'
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_real_local_ray_gives_the_same(done: Any, shop: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    methods = ",".join(METHOD_NAMES)
    words = ["compare", shop, "-o", "out", "-m", methods, "--labeled", "30%", "--seeds", 2, "-j", 2, "--engine", "ray", *WORDS]
    process = start(*words, folder=tmp_path)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert metrics(tmp_path / "out") == metrics(done.out)


@pytest.mark.slow
def test_a_hundred_cells_survive(shop: Path, tmp_path: Path) -> None:
    """A hundred runs; workers and the parent are killed on the way; the same hundred in this process give the same."""
    methods = ["supervised-multi", "mean-teacher-mse", "bond-hard", "metats"]
    short = {**QUICK, "train": {**QUICK["train"], "max_steps": 4, "semi_supervised_steps": 4, "finetune_steps": 2, "evaluate_every": 2}}
    pairs = [word for part, values in short.items() for key, value in values.items() for word in ("--set", f"{part}.{key}={value}")]
    words = ["compare", shop, "-o", "out", "-m", ",".join(methods), "--labeled", "30%", "--seeds", 25, "-j", 2, "--bootstrap", 0, *pairs]
    killed_and_finished(words, tmp_path / "out", kill_worker_at=10, kill_parent_at=50)
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    compare(corpus, methods, out=tmp_path / "here", labeled=["30%"], seeds=25, settings=short, bootstrap=0)
    killed, whole = metrics(tmp_path / "out"), metrics(tmp_path / "here")
    assert len(whole) == 100
    assert killed == whole
