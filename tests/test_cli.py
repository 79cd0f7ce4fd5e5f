"""The command line as typed: one process a call, results on stdout, talk on stderr."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import typed
from fewtag.cli import app
from fewtag.cli.demo import demo
from fewtag.cli.stopping import StopRequest
from fewtag.data.corpus import Corpus
from fewtag.data.queries import write_corpus

QUICK = ["--set", "train.max_steps=40", "--set", "train.semi_supervised_steps=20", "--set", "train.finetune_steps=10"]
VERBS = (
    *("check", "compare", "convert", "corpus", "curve", "demo", "evaluate", "info", "init", "paper", "predict", "pretrain"),
    *("pseudo", "report", "split", "train", "tune"),
)


def fewtag(*words: object, folder: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return typed.fewtag(*words, folder=folder, stdin=stdin, environment={**os.environ, "COLUMNS": "120"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small made corpus in data/ and a run in run/."""
    folder = tmp_path_factory.mktemp("place")
    write_corpus(folder / "data", scale=0.001)
    words = ["train", "data", "-o", "run", "--langs", "en,ja", "--labeled", "20%", *QUICK]
    cold = [sys.executable, "-m", "fewtag.cli", *words]  # this one as a shell begins it, with nothing loaded
    done = subprocess.run(cold, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "train.out").write_text(done.stdout)
    (folder / "train.err").write_text(done.stderr)
    return folder


def test_train_shows_scores_and_where_things_are(place: Path) -> None:
    printed, talk = (place / "train.out").read_text(), (place / "train.err").read_text()
    assert "pretrained-ensemble: test scores" in printed
    assert "run/model" in printed
    assert "run/report.md" in printed
    assert "lenient" in printed
    assert "method pretrained-ensemble, because there is raw text" in talk
    assert "stage 6/6 distill" in talk
    assert "\x1b[" not in printed + talk  # no colors where there is no terminal


def test_evaluate_equals_what_training_said(place: Path) -> None:
    done = fewtag("evaluate", "run/model", "data", "--langs", "en,ja", "--json", folder=place)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    said = json.loads((place / "run" / "metrics.json").read_text())["test"]
    assert found["average_f1"] == said["average_f1"]
    assert {lang: part["f1"] for lang, part in found["by_language"].items()} == {lang: p["f1"] for lang, p in said["by_language"].items()}


def test_evaluate_tells_which_languages_lack_the_split(place: Path) -> None:
    (place / "more" / "xx").mkdir(parents=True)
    (place / "more" / "xx" / "train.conll").write_text("red\tB-color\n", encoding="utf-8")
    done = fewtag("evaluate", "run/model", "more", "--langs", "xx", folder=place)
    assert done.returncode == 3 and "more has no test split in xx; choose another with --split or --langs" in done.stderr


def test_evaluate_fails_under(place: Path) -> None:
    done = fewtag("evaluate", "run/model", "data", "--langs", "en", "--fail-under", "0.99", "--bootstrap", 0, folder=place)
    assert done.returncode == 5
    assert "is below 99.00" in done.stderr


def test_predict_in_a_pipe(place: Path) -> None:
    done = fewtag("predict", "run/model", "--lang", "en", folder=place, stdin="red shoes\n\n赤い靴\n")
    assert done.returncode == 0
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["text"] for r in records] == ["red shoes", "", "赤い靴"]
    for record in records:
        for entity in record["entities"]:
            assert record["text"][entity["start"] : entity["end"]] == entity["text"]


def test_predict_offline_equals_the_predictions_of_the_run(place: Path) -> None:
    done = fewtag("predict", "run/model", "data/en/test.conll", "--out-format", "conll", "--lang", "en", folder=place)
    ours = [block for block in done.stdout.strip().split("\n\n") if block]
    records = [json.loads(line) for line in (place / "run" / "predictions" / "test.en.jsonl").read_text().splitlines()]
    assert len(ours) == len(records) > 50
    for block, record in zip(ours, records, strict=True):
        tags = [line.split("\t")[1] for line in block.splitlines() if not line.startswith("# ")]
        assert sum(tag.startswith("B-") for tag in tags) == len(record["entities"])


def test_check_shows_counts_and_json(place: Path) -> None:
    done = fewtag("check", "data", folder=place)
    assert done.returncode == 0
    assert "0 entities lost between file and tokens." in done.stdout
    assert json.loads(fewtag("check", "data", "--json", folder=place).stdout)["ok"] is True


def test_check_follows_entities_into_windows(place: Path) -> None:
    done = fewtag("check", "data", "--langs", "en", "--encoder", "compact", folder=place)
    assert "0 entities lost between file, tokens and windows of compact." in done.stdout


def test_check_fix_writes_what_check_accepts(tmp_path: Path) -> None:
    (tmp_path / "data" / "en").mkdir(parents=True)
    (tmp_path / "data" / "en" / "train.conll").write_bytes("\ufeffa\tI-X\r\nb\tS-Y\r\n\r\nc\r\n".encode())
    first = fewtag("check", "data", "--fix", "fixed", folder=tmp_path)
    assert first.returncode == 3
    again = fewtag("check", "fixed", folder=tmp_path)
    assert again.returncode == 0, again.stdout
    assert "1 sentence written" in first.stderr


def test_check_fix_keeps_records_without_tags(tmp_path: Path) -> None:
    (tmp_path / "data" / "en").mkdir(parents=True)
    lines = ['{"tokens": ["red", "hat"], "tags": ["B-X", "O"]}', '{"tokens": ["blue", "hat"]}']
    (tmp_path / "data" / "en" / "train.jsonl").write_text("\n".join(lines))
    done = fewtag("check", "data", "--fix", "fixed", folder=tmp_path)
    assert done.returncode == 0 and "2 sentences written" in done.stderr, done.stderr
    written = [json.loads(line) for line in (tmp_path / "fixed" / "en" / "train.jsonl").read_text().splitlines()]
    assert [(each["tokens"], each.get("tags")) for each in written] == [(["red", "hat"], ["B-X", "O"]), (["blue", "hat"], None)]


def test_spans_of_text_know_no_scheme(tmp_path: Path) -> None:
    entity = {"start": 7, "end": 15, "label": "LOC"}
    lines = [{"text": "I love New York", "entities": [entity]}, {"tokens": ["New", "York"], "tags": ["B-LOC", "I-LOC"]}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = fewtag("convert", "in.jsonl", "out.jsonl", "--scheme", "BIOES", folder=tmp_path)
    assert done.returncode == 0 and "2 entities written" in done.stderr and "which know no tag scheme: 1 of 2" in done.stderr
    first, second = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert [{key: each[key] for key in entity} for each in first["entities"]] == [entity]
    assert second["tags"] == ["B-LOC", "E-LOC"]


def test_sentences_without_tags_are_not_scored(place: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "en").mkdir(parents=True)
    (tmp_path / "data" / "en" / "train.jsonl").write_text('{"text": "red hat", "entities": []}\n{"text": "blue hat"}\n')
    done = fewtag("evaluate", place / "run" / "model", "data", "--split", "train", "--bootstrap", 0, folder=tmp_path)
    assert done.returncode == 0 and "note: 1 train sentences have no tags and are not scored" in done.stderr, done.stderr


def test_a_wrong_setting_is_blamed_on_who_said_it(tmp_path: Path) -> None:
    (tmp_path / "data" / "en").mkdir(parents=True)
    (tmp_path / "data" / "fewtag.toml").write_text("[train]\nseed = 3\n")
    typed_wrong = fewtag("train", "data", "-o", "run", "--set", "train.patiense=3", folder=tmp_path)
    assert typed_wrong.returncode == 2 and "patiense" in typed_wrong.stderr and "fewtag.toml" not in typed_wrong.stderr
    (tmp_path / "data" / "fewtag.toml").write_text("[train]\nsead = 3\n")
    assert "fewtag.toml" in fewtag("train", "data", "-o", "run", folder=tmp_path).stderr


def test_a_corpus_cut_short_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(folder: Path, **options: object) -> None:
        (folder / "en").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("fewtag.data.queries.write_corpus", cut_short)
    with pytest.raises(KeyboardInterrupt):
        demo(out=tmp_path / "demo", quiet=True)
    assert not [path for path in (tmp_path / "demo").iterdir() if not path.name.endswith(".part")]


def test_split_writes_a_folder_to_train_on(place: Path) -> None:
    done = fewtag("split", "data", "-o", "low", "--labeled", "10%", "--seed", 3, folder=place)
    assert done.returncode == 0, done.stderr
    corpus = Corpus.from_dir(place / "low")
    assert len(corpus.sentences["en"]["train"]) == 26
    assert len(corpus.sentences["en"]["unlabeled"]) == 257 - 26
    assert all(s.tags is None for s in corpus.sentences["en"]["unlabeled"])
    assert "B-" not in (place / "low" / "en" / "unlabeled.jsonl").read_text()
    ids = json.loads((place / "low" / "split.json").read_text())["ids"]["en"]
    assert [s.id for s in corpus.sentences["en"]["train"]] == ids
    assert fewtag("split", "data", "-o", "low", folder=place).returncode == 2  # not empty


def test_convert_there_and_back(place: Path) -> None:
    source = place / "data" / "ja" / "test.conll"
    assert fewtag("convert", source, "a.jsonl", "--lang", "ja", folder=place).returncode == 0
    assert fewtag("convert", "a.jsonl", "b.conll", "--scheme", "BIOES", folder=place).returncode == 0
    done = fewtag("convert", "b.conll", "c.conll.gz", folder=place)
    assert done.returncode == 0
    assert "entities written" in done.stderr
    before = Corpus.from_files({"ja": {"test": source}}).sentences["ja"]["test"]
    after = Corpus.from_files({"ja": {"test": place / "c.conll.gz"}}).sentences["ja"]["test"]
    assert [(s.tokens, s.tags) for s in before] == [(s.tokens, s.tags) for s in after]
    assert json.loads((place / "a.jsonl").read_text(encoding="utf-8").splitlines()[0])["lang"] == "ja"
    assert fewtag("convert", "c.conll.gz", "d.jsonl", folder=place).returncode == 0
    assert "lang" not in json.loads((place / "d.jsonl").read_text(encoding="utf-8").splitlines()[0])  # nobody has said which
    folder = Corpus.from_files({"ja": {"test": place / "d.jsonl"}})
    assert not list(folder.problems) and {s.language for s in folder.sentences["ja"]["test"]} == {"ja"}


def test_init_writes_a_configuration_that_trains(place: Path) -> None:
    assert fewtag("init", "data", folder=place).returncode == 0
    done = fewtag("train", "data", "-o", "run2", "--langs", "cs", "-m", "supervised-multi", *QUICK, folder=place)
    assert done.returncode == 0, done.stderr
    (place / "data" / "fewtag.toml").unlink()


def test_resume_of_a_finished_run_says_so(place: Path) -> None:
    done = fewtag("train", "--resume", "-o", "run", folder=place)
    assert done.returncode == 0
    assert "nothing is left to do" in done.stderr


def test_json_is_one_object(place: Path) -> None:
    done = fewtag("train", "data", "-o", "run3", "--langs", "cs", "-m", "supervised-multi", "--json", *QUICK, folder=place)
    assert json.loads(done.stdout)["method"] == "supervised-multi"
    assert done.stderr == ""


def test_info_and_version(place: Path) -> None:
    found = json.loads(fewtag("info", "--json", folder=place).stdout)
    assert "metats" in json.dumps(found)
    assert fewtag("--version", folder=place).stdout.strip().endswith(found["fewtag"])


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, place: Path) -> None:
    done = fewtag(verb, "--help", folder=place)
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_help_names_every_verb_and_the_exit_codes(place: Path) -> None:
    printed = fewtag("--help", folder=place).stdout
    assert all(verb in printed for verb in VERBS)
    assert "Exit codes" in printed


def test_what_cannot_begin_leaves_nothing_behind(place: Path) -> None:
    for wrong in (["--set", "method.weight_metta=1"], ["--max-time", "soon"], ["--encoder", "./none"]):
        done = fewtag("train", "data", "-o", "typo", *wrong, folder=place)
        assert done.returncode in (2, 4), done.stderr
        assert not (place / "typo").exists()


def test_repaired_copies_leave_out_what_could_not_be_read(tmp_path: Path) -> None:
    data = tmp_path / "data" / "fr"
    data.mkdir(parents=True)
    (data / "train.conll").write_bytes("café\tB-x\n\n".encode("latin-1") + "thé\tB-x\nnoir\tI-x\n".encode())
    done = fewtag("check", "data", "--fix", "fixed", folder=tmp_path)
    assert done.returncode == 3 and "1 sentence written to fixed; 1 that were read with errors are left out" in done.stderr
    assert [s.tokens for s in Corpus.from_dir(tmp_path / "fixed").sentences["fr"]["train"]] == [("thé", "noir")]


def test_the_output_of_predict_goes_by_its_suffix(place: Path) -> None:
    done = fewtag("predict", "run/model", "-o", "tagged.conll", "-q", folder=place, stdin="red shoes\n")
    assert done.returncode == 0, done.stderr
    assert [line.split("\t")[0] for line in (place / "tagged.conll").read_text().splitlines() if "\t" in line] == ["red", "shoes"]


def test_settings_may_be_written_as_people_write_them(place: Path) -> None:
    settings = ["--set", "data.labeled=4", "--set", "data.languages=en,ja", "--set", "train.max_time=1"]
    done = fewtag("train", "data", "-o", "loose", "-m", "supervised-multi", *settings, folder=place)
    assert done.returncode == 0, done.stderr
    assert "the time of 1 is up for stage supervised" in done.stderr and "max_time 1 ended" in (place / "loose" / "report.md").read_text()
    other = fewtag("train", "elsewhere", "-o", "loose", "--resume", folder=place)
    assert other.returncode == 2 and "leave DIR out" in other.stderr


def test_a_file_where_a_folder_should_be_is_one_sentence(place: Path) -> None:
    (place / "taken").write_text("x")
    for words in (
        ["split", "data", "-o", "taken", "--labeled", "4"],
        ["corpus", "taken"],
        ["train", "data", "-o", "taken/run"],
        ["convert", "data/en/train.conll", "taken/x.jsonl"],
    ):
        done = fewtag(*words, folder=place)
        assert done.returncode in (2, 4) and "Traceback" not in done.stderr and "taken" in done.stderr, done.stderr


def test_languages_are_written_as_people_write_them(place: Path) -> None:
    assert "en" in fewtag("check", "data", "--langs", " en, ja ", folder=place).stdout
    for words in (["check", "data"], ["train", "data", "-o", "none"], ["compare", "data", "-o", "none"]):
        done = fewtag(*words, "--langs", ",", folder=place)
        assert done.returncode == 2 and "names no language" in done.stderr, done.stderr


def test_a_comparison_takes_the_file_of_a_run(place: Path) -> None:
    """What it varies is passed over with a word; wrong resamples are told before anything runs."""
    (place / "one.toml").write_text('[method]\nname = "metats"\n[train]\nseed = 5\nmax_steps = 6\n')
    done = fewtag("compare", "data", "-o", "varied", "-c", "one.toml", "--bootstrap", "-3", folder=place)
    assert "a comparison varies method.name, train.seed; what one.toml says of them is not used" in done.stderr
    assert done.returncode == 2 and "must be 0 or more, not -3" in done.stderr and not (place / "varied").exists()


def test_what_is_ended_at_once_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A second Ctrl-C; Typer would turn it into an exit code and no word."""

    def pressed_again() -> None:
        with StopRequest():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    own = typer.Typer()
    own.command()(pressed_again)
    monkeypatch.setattr(app, "app", own)
    monkeypatch.setattr(sys, "argv", ["fewtag"])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted: ended at once, nothing more was saved; what had been written is whole\n"
