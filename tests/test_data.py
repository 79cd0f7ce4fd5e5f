"""Corpus, low-resource split, stream, ledger: counted by hand or by brute force."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewtag.data.amounts import parse_amount, parse_amounts
from fewtag.data.corpus import Corpus
from fewtag.data.ledger import Ledger, find_oddities, ledger
from fewtag.data.low_resource import LowResource, shuffled
from fewtag.data.statistics import statistics
from fewtag.data.stream import Stream
from fewtag.errors import ConfigError, DataError
from fewtag.text.sentence import Sentence
from fewtag.text.tags import spans_of


def many(language: str, count: int, labels: Sequence[str] = "AB") -> list[Sentence]:
    """Sentences of two tokens, the first a span; labels in turn."""
    return [
        Sentence((f"w{i}", "x"), (f"B-{labels[i % len(labels)]}", "O"), language, f"{language}-{i}", source=f"f:{i + 1}")
        for i in range(count)
    ]


def corpus_of(**sizes: int) -> Corpus:
    return Corpus("made", {lang: {"train": many(lang, size), "dev": many(f"{lang}d", 3)} for lang, size in sizes.items()})


# ---- corpus


def test_both_layouts_of_a_folder_are_the_same_corpus(data_folder: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in data_folder.glob("*/*"):
        (flat / f"{path.stem}.{path.parent.name}{path.suffix}").write_bytes(path.read_bytes())
    nested, other = Corpus.from_dir(data_folder), Corpus.from_dir(flat)
    assert nested.languages == other.languages == ("en", "no", "zh")
    for language in nested.languages:
        for split in ("train", "dev", "test", "unlabeled"):
            ours, theirs = nested.sentences[language][split], other.sentences[language][split]
            assert [(s.tokens, s.tags) for s in ours] == [(s.tokens, s.tags) for s in theirs]


def test_raw_text_has_no_tags_even_when_its_file_does(data_folder: Path) -> None:
    path = data_folder / "en" / "unlabeled.txt"
    path.unlink()
    (data_folder / "en" / "unlabeled.conll").write_text("red\tB-color\n")
    assert [s.tags for s in Corpus.from_dir(data_folder).sentences["en"]["unlabeled"]] == [None]


def test_table_3_by_hand(data_folder: Path) -> None:
    row = statistics(Corpus.from_dir(data_folder))["en"]
    # red shoes / big blue rain coat, three times: 6 tokens of which 5 in spans; two sentences
    assert (row.train, row.dev, row.test, row.unlabeled) == (2, 2, 2, 2)
    assert row.types == 2
    assert row.coverage == pytest.approx(100 * 5 / 6)
    assert row.average_length == pytest.approx(3.0)
    assert row.longest == 4


# ---- low resource


@pytest.mark.parametrize(("spec", "en", "de"), [("1%", 2, 1), ("10%", 20, 1), ("5", 5, 5), ("1000", 200, 10), ("100%", 200, 10)])
def test_how_many_keep_their_labels(spec: str, en: int, de: int) -> None:
    data = LowResource.sample(corpus_of(en=200, de=10), spec)
    assert (len(data.labeled["en"]), len(data.labeled["de"])) == (en, de)
    assert len(data.unlabeled.get("en", [])) == 200 - en


def test_the_rest_really_loses_its_tags() -> None:
    data = LowResource.sample(corpus_of(en=50), "10%")
    assert all(s.tags is None for s in data.unlabeled["en"])
    assert set(data.hidden) == {s.id for s in data.unlabeled["en"]}
    assert not {s.id for s in data.labeled["en"]} & {s.id for s in data.unlabeled["en"]}


def test_five_shots_have_five_spans_of_each_label_and_no_sentence_to_spare() -> None:
    data = LowResource.sample(Corpus("made", {"en": {"train": many("en", 300, "ABC"), "dev": many("d", 2)}}), "5shot")
    seen = Counter(span.label for s in data.labeled["en"] for span in spans_of(s.tags or ()))
    assert min(seen.values()) == 5
    assert sum(seen.values()) < 60


def test_what_is_kept_aside_is_part_of_the_shots() -> None:
    """Dev sentences taken from train cost labels like the others: both together are the shortest beginning of the shuffled sentences with
    five spans of A and the one of the rare label, which is the sentence at place 7."""
    train = many("en", 400, "A")
    train[7] = Sentence(("w7", "x"), ("B-rare", "O"), "en", "en-7", source="f:8")
    sizes = []
    for seed in range(40):
        data = LowResource.sample(Corpus("made", {"en": {"train": train}}), "5shot", seed)
        order = shuffled(400, f"{seed}/en/labeled")
        sizes.append(max(6, order.index(7) + 1))
        assert {s.id for s in (*data.dev["en"], *data.labeled["en"])} == {train[index].id for index in order[: sizes[-1]]}
    assert min(sizes) < 50 < 350 < max(sizes)


def test_a_choice_depends_on_seed_and_language_alone() -> None:
    both, alone = LowResource.sample(corpus_of(en=100, de=100), "10%", 7), LowResource.sample(corpus_of(en=100), "10%", 7)
    assert both.labeled["en"] == alone.labeled["en"]
    assert LowResource.sample(corpus_of(en=100), "10%", 8).labeled["en"] != alone.labeled["en"]
    assert {s.id[3:] for s in both.labeled["en"]} != {s.id[3:] for s in both.labeled["de"]}


def test_without_dev_a_slice_of_train_is_kept_aside_and_said() -> None:
    data = LowResource.sample(Corpus("made", {"en": {"train": many("en", 100)}}), "20%")
    assert "en has no dev split" in data.notes[0] and data.own_dev == ("en",)
    whole = LowResource.sample(Corpus("made", {"en": {"train": many("en", 100)}}), "100%", dev_like="20%")
    assert whole.dev == data.dev and len(whole.labeled["en"]) == 96  # the upper bound is held to the same sentences
    assert (len(data.dev["en"]), len(data.labeled["en"])) == (4, 16)  # twenty have been paid for, not twenty-four
    only = LowResource.sample(Corpus("made", {"en": {"train": many("en", 100)}}), "1")
    assert (len(only.dev["en"]), len(only.labeled["en"])) == (1, 1)  # nobody learns from nothing
    ids = [{s.id for s in part["en"]} for part in (data.dev, data.labeled, data.unlabeled)]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]
    assert len(ids[0] | ids[1] | ids[2]) == 100


def test_matched_dev_is_no_larger_than_the_labels() -> None:
    corpus = Corpus("made", {"en": {"train": many("en", 100), "dev": many("d", 50)}})
    assert len(LowResource.sample(corpus, "5%").dev["en"]) == 50
    matched = LowResource.sample(corpus, "5%", dev_size="matched").dev["en"]
    assert len(matched) == 5
    # the upper bound of the same experiment stops by the same dev sentences
    assert LowResource.sample(corpus, "100%", dev_size="matched", dev_like="5%").dev["en"] == matched


def test_a_smaller_pool_of_raw_text_is_part_of_a_larger_one_and_the_labels_stay() -> None:
    corpus = Corpus("made", {"en": {"train": many("en", 200), "dev": many("d", 2)}, "de": {"train": many("de", 30), "dev": many("d", 2)}})
    whole = LowResource.sample(corpus, "10%")
    sizes = {amount: LowResource.sample(corpus, "10%", unlabeled=amount) for amount in ("20", "50%", "1000")}
    kept = {amount: [s.id for s in each.unlabeled["en"]] for amount, each in sizes.items()}
    assert [len(ids) for ids in kept.values()] == [20, 90, 180]
    assert set(kept["20"]) < set(kept["50%"]) < set(kept["1000"])
    everything = [s.id for s in whole.unlabeled["en"]]
    assert kept["1000"] == everything
    assert kept["20"] == [i for i in everything if i in kept["20"]]  # in the file's order
    assert {amount: len(each.unlabeled["de"]) for amount, each in sizes.items()} == {"20": 20, "50%": 14, "1000": 27}
    assert all(each.labeled == whole.labeled for each in sizes.values())
    assert {s.id for s in LowResource.sample(corpus, "10%", 14, unlabeled="20").unlabeled["en"]} != set(kept["20"])


@pytest.mark.parametrize("amount", ["", "0", "5shot", "101%", "2.5", "all"])
def test_a_pool_that_cannot_be_read_is_refused(amount: str) -> None:
    with pytest.raises(ConfigError, match=r"unlabeled .*(share|whole)"):
        LowResource.sample(corpus_of(en=20), "10%", unlabeled=amount)


def test_ids_of_the_choice_are_written(tmp_path: Path) -> None:
    data = LowResource.sample(corpus_of(en=20), "10%")
    data.save_ids(tmp_path / "split.json")
    assert json.loads((tmp_path / "split.json").read_text())["ids"] == {"en": [s.id for s in data.labeled["en"]]}


@pytest.mark.parametrize("spec", ["", "0", "-5", "101%", "1.5", "2.5shot", "some", "5 shots"])
def test_amounts_that_cannot_be_read(spec: str) -> None:
    with pytest.raises(ConfigError, match="labeled"):
        parse_amount(spec)


def test_a_language_can_have_an_amount_of_its_own() -> None:
    corpus = corpus_of(en=40, de=40, fr=40)
    data = LowResource.sample(corpus, " de=5%  en=30 7 ", 13, dev_size="matched", unlabeled="en=3 50%")
    assert {lang: len(some) for lang, some in data.labeled.items()} == {"de": 2, "en": 30, "fr": 7}
    assert {lang: len(some) for lang, some in data.dev.items()} == {"de": 2, "en": 3, "fr": 3}
    assert {lang: len(some) for lang, some in data.unlabeled.items()} == {"de": 19, "en": 3, "fr": 16}  # halves of 38 and 33, even ones
    for alone in ("de", "en", "fr"):  # what one gets does not depend on the others
        own = LowResource.sample(corpus, {"de": "5%", "en": "30", "fr": "7"}[alone], 13).labeled[alone]
        assert own == data.labeled[alone]
    assert parse_amounts("5 en=1% de=2") == parse_amounts("de=2 en=1% 5") != parse_amounts("de=2 en=1% 6")
    assert (parse_amounts("5shot").alike, parse_amounts("en=2 5shot").alike) == ((5.0, "shot"), None)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("en=5", "nothing says how much of de; add de=200"),
        ("EN=5 7", "unknown language 'EN'. Did you mean 'en'"),
        ("fr=5 7", r"unknown language 'fr'. Choose one of: de, en \(the languages of this run\)\.$"),
        ("en=5 en=6 7", "each language once"),
        ("=5 7", "each language once"),
        ("5 7", "2 amounts for the same languages"),
        ("en=0 7", "'0' cannot be read; .* above 0"),
        ("en= 7", "labeled '' cannot be read"),
    ],
)
def test_amounts_by_language_that_make_no_sense(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LowResource.sample(corpus_of(en=20, de=20), spec)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_sentence_to_score_that_nobody_has_tagged_is_refused(split: str) -> None:
    """Before any training: a score needs gold tags of each."""
    corpus = corpus_of(en=20, de=20)
    some = many("ded", 3)
    corpus.sentences["de"][split] = [*some[:1], some[1].without_tags(), *some[2:]]
    with pytest.raises(DataError, match=f"^f:2: a sentence of {split} without tags cannot be scored"):
        LowResource.sample(corpus, "5")


def test_nothing_labeled_is_refused() -> None:
    raw = [s.without_tags() for s in many("en", 5)]
    with pytest.raises(DataError, match="no labeled sentence"):
        LowResource.sample(Corpus("made", {"en": {"train": raw}}))


# ---- stream


def stream_of(sizes: dict[str, int], **options: object) -> Stream:
    labeled = {lang: many(lang, 5) for lang in sizes}
    unlabeled = {lang: [s.without_tags() for s in many(f"{lang}r", size)] for lang, size in sizes.items()}
    return Stream(labeled, unlabeled, **{"seed": 1, **options})  # type: ignore[arg-type]


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_draw_is_a_function_of_its_step(first: int, second: int) -> None:
    sizes = {"en": 40, "de": 7}
    fresh, used = stream_of(sizes), stream_of(sizes)
    used.draw(second)
    assert fresh.draw(first) == used.draw(first)


def test_languages_are_drawn_in_proportion_to_size_to_the_exponent() -> None:
    """Within three standard deviations of the binomial's mean."""
    sizes = {"a": 1000, "b": 100, "c": 10}
    for exponent in (0.0, 0.5, 1.0):
        stream = stream_of(sizes, exponent=exponent, batch_size=1, unlabeled_batch_size=1)
        drawn = Counter(stream.draw(step).language for step in range(10_000))
        weights = np.array([size**exponent for size in sizes.values()])
        expected = 10_000 * weights / weights.sum()
        spread = np.sqrt(expected * (1 - expected / 10_000))
        assert np.all(np.abs(np.array([drawn[lang] for lang in sizes]) - expected) <= 3 * spread)


@pytest.mark.parametrize(("mixed", "raw"), [(False, False), (True, False), (False, True), (True, True)])
def test_every_sentence_is_seen_once_an_epoch(mixed: bool, raw: bool) -> None:
    """Labeled and raw, in batches that divide no pool: what a pool gave, one after another, cut by its size, is permutations."""
    labeled = {"en": many("en", 7), "de": many("de", 3)}
    unlabeled = {lang: [s.without_tags() for s in many(f"{lang}r", size)] for lang, size in (("en", 10), ("de", 6))} if raw else {}
    stream = Stream(labeled, unlabeled, seed=2, batch_size=4, unlabeled_batch_size=4, mixed=mixed)
    pools = {f"raw {lang}": [s.id for s in some] for lang, some in unlabeled.items()}
    by_language = {lang: [s.id for s in some] for lang, some in labeled.items()}
    pools |= {"labeled": [*by_language["en"], *by_language["de"]]} if mixed else by_language
    seen: dict[str, list[str]] = {name: [] for name in pools}
    for draw in map(stream.draw, range(80)):
        seen["labeled" if mixed else draw.language] += [s.id for s in draw.labeled]
        if raw:
            seen[f"raw {draw.language}"] += [s.id for s in draw.unlabeled]
    for name, pool in pools.items():
        epochs = [seen[name][start : start + len(pool)] for start in range(0, len(seen[name]) - len(pool) + 1, len(pool))]
        assert len(epochs) > 8 and all(sorted(epoch) == sorted(pool) for epoch in epochs)
        assert len(set(map(tuple, epochs))) > 1


def test_one_language_a_draw_and_no_tag_of_raw_text() -> None:
    tagged = Stream({"en": many("en", 4), "de": many("de", 4)}, {"en": many("en", 9), "de": many("de", 9)}, seed=0)
    for step in range(50):
        draw = tagged.draw(step)
        assert {s.language for s in (*draw.labeled, *draw.unlabeled)} == {draw.language}
        assert all(s.tags is None for s in draw.unlabeled)


# ---- ledger


def test_every_entity_is_counted_and_none_is_lost(data_folder: Path) -> None:
    corpus = Corpus.from_dir(data_folder)
    counts = ledger(corpus)
    assert counts["en"] == Ledger(in_files=12, in_sentences=12, in_windows=12, windows=0)  # 4 spans in each of three splits
    assert not corpus.problems.errors


def test_an_entity_that_fits_into_no_window_is_an_error_at_its_line(data_folder: Path) -> None:
    corpus = Corpus.from_dir(data_folder)

    def single(sentences: list[Sentence]) -> list[list[tuple[int, int]]]:
        return [[(i, i + 1) for i in range(len(s))] for s in sentences]

    counts = ledger(corpus, single)  # type: ignore[arg-type]
    assert counts["en"].in_windows == 9  # "rain coat" is lost in each split
    lines = [(Path(p.path).parent.name, p.line) for p in corpus.problems.errors]
    assert ("en", 6) in lines
    assert all(p.kind == "split" for p in corpus.problems.errors)


def test_an_entity_the_reader_dropped_is_noticed(data_folder: Path) -> None:
    corpus = Corpus.from_dir(data_folder)
    corpus.sentences["en"]["train"][0] = corpus.sentences["en"]["train"][0].with_tags(("O", "B-thing"))
    ledger(corpus)
    [error] = corpus.problems.errors
    assert "entities annotated in the file: 4; of these read: 3" in error.message


@pytest.mark.parametrize(
    ("label", "count", "warned"),
    [
        ("colour", 1, True),  # a letter more
        ("colr", 1, True),  # less
        ("coler", 1, True),  # another
        ("oclor", 1, True),  # two that changed places
        ("colour", 2, True),  # 5 % of 40
        ("colour", 3, False),
        ("coalor", 1, True),
        ("collars", 1, False),  # two letters
        ("color2", 1, False),  # a number is no slip
        ("rolco", 1, False),
    ],
)
def test_a_rare_label_one_slip_from_a_frequent_one_is_warned_of(label: str, count: int, warned: bool) -> None:
    corpus = Corpus("made", {"en": {"train": [*many("en", 40, ["color"]), *many("other", count, [label])]}})
    find_oddities(corpus)
    assert not corpus.problems.errors
    found = [(p.path, p.line, p.message) for p in corpus.problems.warnings if p.kind == "near"]
    times = "once" if count == 1 else f"{count} times"
    assert found == ([("f", 1, f"label {label!r} is used {times} and 'color' 40 times; is it misspelled?")] if warned else [])


def test_short_labels_lie_close_together_without_a_word() -> None:
    corpus = Corpus("made", {"en": {"train": [*many("en", 40, ["PER"]), *many("other", 1, ["PEL"])]}})
    find_oddities(corpus)
    assert not list(corpus.problems)


def test_leaks_between_splits_are_warned_of(data_folder: Path) -> None:
    corpus = Corpus.from_dir(data_folder)
    find_oddities(corpus)
    assert sum(p.kind == "leak" for p in corpus.problems) == 12  # two sentences, dev and test, three languages
