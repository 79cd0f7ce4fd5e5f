"""Scores, held to hand-worked counts, to an independent scorer, to seqeval and to tables of distributions."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewtag.errors import ConfigError, DataError
from fewtag.evaluation import Report, Score, cases, count_errors, evaluate, holm, paired_bootstrap, paired_t_test, score, span_errors
from fewtag.evaluation.bootstrap import as_array, generator_for, resampled_f1
from fewtag.evaluation.significance import difference_of, incomplete_beta, student_p
from fewtag.evaluation.span_f1 import count_by_sentence
from fewtag.evaluation.tables import aligned, cases_text, differences_table, report_markdown, report_text
from fewtag.text import Span

TAGS = ["O", "O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-A-B"]  # every order may occur, legal or not
Corpus = list[list[str]]


def words(*lines: str) -> Corpus:
    return [line.split() for line in lines]


def random_pair(seed: int, sentences: int = 12) -> tuple[Corpus, Corpus]:
    draw = random.Random(seed)
    gold = [[draw.choice(TAGS) for _ in range(draw.randrange(0, 9))] for _ in range(sentences)]
    noise = draw.choice((0.1, 0.5, 1.0))
    return gold, [[draw.choice(TAGS) if draw.random() < noise else tag for tag in tags] for tags in gold]


def naive_spans(tags: Sequence[str], mode: str) -> set[tuple[int, int, str]]:
    """Every range, asked whether it is a span: the definition, not a pass over the tags."""
    spans = set()
    for start in range(len(tags)):
        for end in range(start + 1, len(tags) + 1):
            label = tags[start][2:]
            before = tags[start - 1][2:] if start else ""
            opens = tags[start].startswith("B-") or (mode == "lenient" and tags[start].startswith("I-") and before != label)
            inner = all(tag == f"I-{label}" for tag in tags[start + 1 : end])
            closed = end == len(tags) or tags[end] != f"I-{label}"
            if label and opens and inner and closed:
                spans.add((start, end, label))
    return spans


@pytest.mark.parametrize(
    ("gold", "predicted", "lenient", "strict"),
    [
        ("B-PER I-PER O B-LOC", "B-PER I-PER O B-LOC", (2, 2, 2), (2, 2, 2)),
        ("B-PER I-PER O", "I-PER I-PER O", (1, 1, 1), (0, 0, 1)),  # orphan I- at the start
        ("B-LOC B-PER", "B-LOC I-PER", (2, 2, 2), (1, 1, 2)),  # label changes inside
        ("B-PER B-PER", "B-PER I-PER", (0, 1, 2), (0, 1, 2)),  # touching spans are not one span
        ("O O", "O B-PER", (0, 1, 0), (0, 1, 0)),
        ("O I-PER", "O I-PER", (1, 1, 1), (0, 0, 0)),  # gold is read alike
    ],
)
def test_counts_by_hand(gold: str, predicted: str, lenient: tuple[int, ...], strict: tuple[int, ...]) -> None:
    assert score([gold.split()], [predicted.split()])[0] == Score(*lenient)
    assert score([gold.split()], [predicted.split()], "strict")[0] == Score(*strict)


def test_percentages() -> None:
    each = Score(correct=2, predicted=4, gold=5)
    assert (each.precision, each.recall) == (50.0, 40.0)
    assert each.f1 == pytest.approx(400 / 9)
    assert Score().f1 == Score().precision == Score().recall == 0.0
    assert Score(1, 2, 3) + Score(4, 5, 6) == Score(5, 7, 9)


@pytest.mark.parametrize("mode", ["lenient", "strict"])
@pytest.mark.parametrize("seed", range(40))
def test_equals_an_independent_scorer(seed: int, mode: str) -> None:
    gold, predicted = random_pair(seed)
    total, by_label = score(gold, predicted, mode)
    expected: dict[str, list[int]] = {}
    for g, p in zip(gold, predicted, strict=True):
        wanted, found = naive_spans(g, mode), naive_spans(p, mode)
        for place, spans in enumerate((wanted & found, found, wanted)):
            for span in spans:
                expected.setdefault(span[2], [0, 0, 0])[place] += 1
    assert by_label == {label: Score(*counts) for label, counts in expected.items()}
    assert total == sum(by_label.values(), Score())


@pytest.mark.parametrize("seed", range(60))
def test_equals_seqeval(seed: int) -> None:
    metrics = pytest.importorskip("seqeval.metrics")
    scheme = pytest.importorskip("seqeval.scheme")
    gold, predicted = random_pair(seed)
    for mode, options in (("lenient", {}), ("strict", {"mode": "strict", "scheme": scheme.IOB2})):
        total, by_label = score(gold, predicted, mode)
        for ours, theirs in ((total.precision, "precision"), (total.recall, "recall"), (total.f1, "f1")):
            micro = getattr(metrics, f"{theirs}_score")(gold, predicted, average="micro", zero_division=0, **options)
            assert ours == pytest.approx(100 * micro)
        each = metrics.classification_report(gold, predicted, output_dict=True, zero_division=0, **options)
        labels = {label: row for label, row in each.items() if not label.endswith(" avg")}
        assert set(by_label) == set(labels)
        for label, row in labels.items():
            assert by_label[label].gold == row["support"]
            assert by_label[label].f1 == pytest.approx(100 * row["f1-score"])


def test_cut_predictions_are_refused_and_named() -> None:
    gold, predicted = words("O", "B-PER O O"), words("O", "B-PER O")
    with pytest.raises(DataError, match="sentence 2: 3 gold tags but 2 predicted"):
        score(gold, predicted)
    with pytest.raises(DataError, match="language de: sentence 2"):
        evaluate({"de": gold}, {"de": predicted})
    with pytest.raises(DataError, match="2 gold sentences but 1"):
        score(gold, predicted[:1])
    with pytest.raises(DataError, match="sentence 2"):
        count_errors(gold, predicted)


def test_unknown_mode_and_languages() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'lenient'"):
        evaluate({"de": [["O"]]}, {"de": [["O"]]}, mode="lenent")
    with pytest.raises(DataError, match=r"'de'.*'en'"):
        evaluate({"de": [["O"]]}, {"en": [["O"]]})
    with pytest.raises(DataError, match="no sentence"):
        evaluate({"de": []}, {"de": []})
    with pytest.raises(ConfigError, match="-1"):
        evaluate({"de": [["O"]]}, {"de": [["O"]]}, bootstrap=-1)


# Two languages. en: one of two gold spans found, nothing else: F1 66.7. de: one gold, two predicted, none right: F1 0.
GOLD = {"en": words("B-PER I-PER O", "B-LOC O"), "de": words("B-PER O O")}
PREDICTED = {"en": words("B-PER I-PER O", "O O"), "de": words("O B-LOC B-PER")}


def test_average_is_over_languages_micro_over_spans() -> None:
    report = evaluate(GOLD, PREDICTED)
    assert list(report.by_language) == ["de", "en"]
    assert report.by_language["en"].score == Score(1, 1, 2)
    assert report.average_f1 == pytest.approx((200 / 3 + 0) / 2)
    assert report.micro == Score(1, 3, 3)
    assert report.by_label == {"LOC": Score(0, 1, 1), "PER": Score(1, 2, 2)}
    assert report.num_sentences == 3
    assert report.errors == {"boundary": 0, "type": 0, "both": 0, "missed": 2, "spurious": 2}


def test_a_language_without_sentences_is_shown_but_not_averaged() -> None:
    with_empty = evaluate({**GOLD, "nl": []}, {**PREDICTED, "nl": []}, bootstrap=20)
    assert with_empty.average_f1 == evaluate(GOLD, PREDICTED).average_f1
    assert with_empty.average_interval == evaluate(GOLD, PREDICTED, bootstrap=20).average_interval
    row = next(line for line in report_text(with_empty).splitlines() if line.startswith("nl"))
    assert row.split()[1] == "-"


def test_json_round_trip() -> None:
    for report in (evaluate(GOLD, PREDICTED, mode="strict"), evaluate(GOLD, PREDICTED, bootstrap=50)):
        assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert report.to_json()["mode"] == "lenient"


def test_merge() -> None:
    parts = [evaluate({language: GOLD[language]}, {language: PREDICTED[language]}) for language in ("en", "de")]
    assert Report.merge(parts) == evaluate(GOLD, PREDICTED)
    with pytest.raises(DataError, match="more than one scores en"):
        Report.merge([parts[0], parts[0]])
    with pytest.raises(DataError, match="strict"):
        Report.merge([parts[0], evaluate({"de": GOLD["de"]}, {"de": PREDICTED["de"]}, mode="strict")])
    with pytest.raises(DataError):
        Report.merge([])


def test_bootstrap_is_seeded_and_independent_of_other_languages() -> None:
    gold, predicted = random_pair(3, sentences=60)
    alone = evaluate({"en": gold}, {"en": predicted}, bootstrap=200, seed=5)
    again = evaluate({"de": gold[:9], "en": gold}, {"de": predicted[:9], "en": predicted}, bootstrap=200, seed=5)
    assert alone.by_language["en"] == again.by_language["en"]
    other = evaluate({"en": gold}, {"en": predicted}, bootstrap=200, seed=6)
    assert alone.by_language["en"].interval != other.by_language["en"].interval


def test_bootstrap_interval_equals_the_exact_distribution() -> None:
    # 4 sentences with one gold and one predicted span each, k of 4 drawn right: F1 = 25 k, k binomial(4, 1/2).
    gold = words("B-A O", "B-A O", "B-A O", "B-A O")
    predicted = words("B-A O", "B-A O", "O B-A", "O B-A")
    (values,) = resampled_f1(as_array(count_by_sentence(gold, predicted))[None], 20_000, np.random.default_rng(1))
    shares = [float(np.mean(values == 25.0 * k)) for k in range(5)]
    assert shares == pytest.approx([1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16], abs=0.015)
    assert sum(shares) == 1.0
    interval = evaluate({"en": gold}, {"en": predicted}, bootstrap=2000).by_language["en"].interval
    assert interval == (0.0, 100.0)


def test_bootstrap_blocks_keep_each_resample_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.array([[[1, 1, 1]] * 7, [[0, 1, 1]] * 7], dtype=float)  # two systems whose F1 no resample can change
    monkeypatch.setattr("fewtag.evaluation.bootstrap._BLOCK", 20)  # two resamples a block, the last one single
    values = resampled_f1(counts, 5, generator_for(0, "en"))
    assert values.tolist() == [[100.0] * 5, [0.0] * 5]


def test_average_interval_is_of_the_average() -> None:
    gold, predicted = random_pair(4, sentences=80)
    same = [list(tags) for tags in gold]  # a perfect language: its F1 is 100 in every resample
    report = evaluate({"a": gold, "b": same}, {"a": predicted, "b": same}, bootstrap=300)
    low, high = report.by_language["a"].interval or (0, 0)
    assert report.average_interval == pytest.approx(((low + 100) / 2, (high + 100) / 2))


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", []),
        ("B-PER I-PER O", "B-PER O O", [("boundary", (0, 2), (0, 1))]),
        ("B-PER I-PER O", "B-LOC I-LOC O", [("type", (0, 2), (0, 2))]),
        ("B-PER I-PER O", "O B-LOC I-LOC", [("both", (0, 2), (1, 3))]),
        ("B-PER O O", "O O B-PER", [("missed", (0, 1), None), ("spurious", None, (2, 3))]),
        # Two predicted spans in one gold span: the larger one is its partner, the other has none.
        ("B-PER I-PER I-PER", "B-PER B-PER I-PER", [("boundary", (0, 3), (1, 3)), ("spurious", None, (0, 1))]),
        # Equal overlap: the one of the same label, although it stands later.
        ("B-PER I-PER", "B-LOC B-PER", [("boundary", (0, 2), (1, 2)), ("spurious", None, (0, 1))]),
        # Equal overlap and label: the earlier.
        ("B-PER I-PER", "B-PER B-PER", [("boundary", (0, 2), (0, 1)), ("spurious", None, (1, 2))]),
        # A predicted span over two gold ones takes the one it covers more of; a span that is right takes no part.
        ("B-PER B-LOC I-LOC B-ORG", "B-LOC I-LOC I-LOC B-ORG", [("boundary", (1, 3), (0, 3)), ("missed", (0, 1), None)]),
    ],
)
def test_kinds_of_errors_by_hand(gold: str, predicted: str, expected: list[object]) -> None:
    def ends(span: Span | None) -> tuple[int, int] | None:
        return None if span is None else (span.start, span.end)

    found = span_errors(gold.split(), predicted.split())
    assert sorted(((e.kind, ends(e.gold), ends(e.predicted)) for e in found), key=str) == sorted(expected, key=str)


@given(st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), max_size=12), st.sampled_from(["lenient", "strict"]))
def test_every_span_is_in_exactly_one_class(pairs: list[tuple[str, str]], mode: str) -> None:
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    wanted, found = naive_spans(gold, mode), naive_spans(predicted, mode)
    errors = span_errors(gold, predicted, mode=mode)
    in_gold = [(e.gold.start, e.gold.end, e.gold.label) for e in errors if e.gold]
    in_found = [(e.predicted.start, e.predicted.end, e.predicted.label) for e in errors if e.predicted]
    assert sorted(in_gold) == sorted(wanted - found)
    assert sorted(in_found) == sorted(found - wanted)
    counts = count_errors([gold], [predicted], mode=mode)
    total = score([gold], [predicted], mode)[0]
    paired = counts["boundary"] + counts["type"] + counts["both"]
    assert (total.gold, total.predicted) == (total.correct + paired + counts["missed"], total.correct + paired + counts["spurious"])


def test_cases_filter_and_render() -> None:
    tokens = [["Ada", "Lovelace", "wrote"], ["Paris", "waits"]]
    gold, predicted = words("B-PER I-PER O", "B-LOC O"), words("B-PER O O", "B-PER B-LOC")
    assert [case.error.kind for case in cases(tokens, gold, predicted)] == ["boundary", "type", "spurious"]
    (typed,) = cases(tokens, gold, predicted, kind="type")
    assert (typed.sentence, typed.surface(typed.error.gold), typed.surface(typed.error.predicted)) == (1, "Paris [LOC]", "Paris [PER]")
    assert [case.error.kind for case in cases(tokens, gold, predicted, label="LOC")] == ["type", "spurious"]
    assert "boundary  Ada Lovelace [PER] -> Ada [PER]  | 1: Ada Lovelace wrote" in cases_text(cases(tokens, gold, predicted))
    with pytest.raises(ConfigError, match="boundary"):
        cases(tokens, gold, predicted, kind="boundry")
    with pytest.raises(DataError, match="sentence 2"):
        cases([tokens[0], ["Paris"]], gold, predicted)


@pytest.mark.parametrize(  # quantiles as printed in any table of Student's t, two-sided
    ("t", "degrees", "p"),
    [(12.706, 1, 0.05), (63.657, 1, 0.01), (4.303, 2, 0.05), (2.776, 4, 0.05), (4.604, 4, 0.01), (2.228, 10, 0.05), (3.169, 10, 0.01),
     (2.042, 30, 0.05), (1.980, 120, 0.05), (2.617, 120, 0.01), (1.372, 10, 0.20)],
)  # fmt: skip
def test_student_table(t: float, degrees: int, p: float) -> None:
    assert student_p(t, degrees) == pytest.approx(p, rel=3e-3)  # t is printed with three digits
    assert student_p(-t, degrees) == student_p(t, degrees)


@given(st.floats(0.001, 50))
def test_student_closed_forms(t: float) -> None:
    assert student_p(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(t), rel=1e-9)
    assert student_p(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-7)
    assert student_p(t, 1e7) == pytest.approx(math.erfc(t / math.sqrt(2)), rel=1e-3, abs=1e-30)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0.001, 0.999))
def test_incomplete_beta_is_a_binomial_tail(a: int, b: int, x: float) -> None:
    size = a + b - 1
    tail = math.fsum(math.comb(size, k) * x**k * (1 - x) ** (size - k) for k in range(a, size + 1))
    assert incomplete_beta(a, b, x) == pytest.approx(tail, rel=1e-8, abs=1e-12)


def test_paired_t_test_by_hand() -> None:
    # differences 1, 2, 3: mean 2, deviation 1, t = 2 sqrt(3), 2 degrees: p = 1 - t / sqrt(2 + t^2) = 1 - sqrt(12 / 14)
    test = paired_t_test([70.0, 71.0, 72.0], [71.0, 73.0, 75.0])
    assert (test.delta, test.deviation, test.degrees) == (2.0, 1.0, 2)
    assert test.t == pytest.approx(2 * math.sqrt(3))
    assert test.p_value == pytest.approx(1 - math.sqrt(12 / 14))
    assert paired_t_test([1.0, 2.0], [1.0, 2.0]).p_value == 1.0
    assert paired_t_test([1.0, 2.0], [2.0, 3.0]).p_value == 0.0
    with pytest.raises(DataError, match="at least 2 seeds, found 1"):
        paired_t_test([1.0], [2.0])
    with pytest.raises(DataError, match="same seeds"):
        paired_t_test([1.0, 2.0], [2.0])


def test_holm_by_hand() -> None:
    # sorted: .01 x 4, .02 x 3, .03 x 2 (raised to .06), .5 x 1
    assert holm({"c": 0.03, "a": 0.01, "d": 0.5, "b": 0.02}) == pytest.approx({"c": 0.06, "a": 0.04, "d": 0.5, "b": 0.06})
    assert list(holm({"z": 0.9, "a": 0.8})) == ["z", "a"]
    assert holm({"z": 0.9, "a": 0.8}) == {"z": 1.0, "a": 1.0}


def test_paired_bootstrap_sees_a_real_difference_and_none_between_equals() -> None:
    gold = {"en": words(*["B-PER O O"] * 40), "de": words(*["O B-LOC"] * 40)}
    worse = {"en": words(*["B-PER O O"] * 20, *["O O O"] * 20), "de": gold["de"]}
    found = paired_bootstrap(gold, worse, gold, resamples=500)
    assert found.by_language["en"].delta == pytest.approx(100 - 200 / 3)  # 20 of 40 found: P 100, R 50
    assert found.average.delta == pytest.approx((100 - 200 / 3) / 2)
    assert found.by_language["en"].p_value == pytest.approx(1 / 501)
    assert found.by_language["de"] == paired_bootstrap(gold, gold, gold, resamples=500).by_language["de"]
    assert (found.by_language["de"].delta, found.by_language["de"].p_value) == (0.0, 1.0)
    back = paired_bootstrap(gold, gold, worse, resamples=500)
    assert back.average.delta == -found.average.delta
    assert back.average.p_value == found.average.p_value
    assert "+33.33" in aligned(*differences_table(found))
    with pytest.raises(ConfigError, match="at least 1"):
        paired_bootstrap(gold, gold, worse, resamples=0)


def test_the_p_value_of_a_bootstrap_looks_to_both_sides() -> None:
    """Observed 2; of the six drawn, -1, 0, 4 and 5 are at least 2 away from it, and the observed one is counted in: 5 of 7."""
    assert difference_of(2.0, np.array([-1.0, 0.0, 2.0, 3.9, 4.0, 5.0])).p_value == pytest.approx(5 / 7)
    assert difference_of(-2.0, np.array([1.0, 0.0, -2.0, -3.9, -4.0, -5.0])).p_value == pytest.approx(5 / 7)


def test_paired_bootstrap_keeps_its_level() -> None:
    """Two systems equally good: p < 0.1 should come about in one of ten comparisons, not far more."""
    draw = random.Random(7)
    low = 0
    for trial in range(150):
        gold = words(*["B-PER O"] * 60)
        systems = [[tags if draw.random() < 0.7 else ["O", "O"] for tags in gold] for _ in range(2)]
        low += paired_bootstrap({"en": gold}, {"en": systems[0]}, {"en": systems[1]}, resamples=200, seed=trial).average.p_value < 0.1
    assert 4 <= low <= 30


def test_tables_name_the_mode_and_align() -> None:
    report = evaluate(GOLD, PREDICTED, mode="strict", bootstrap=50)
    text, document = report_text(report), report_markdown(report)
    for rendered in (text, document):
        for block in rendered.split("\n\n"):
            assert "strict" in block.splitlines()[0]
    average = next(line for line in text.splitlines() if line.startswith("average"))
    assert average.split()[1] == "33.33"
    widths = {len(line) for line in aligned(["a", "b"], [["x", "1"], ["longer", "22"]]).splitlines()}
    assert widths == {10}
    assert aligned(["名", "n"], [["ab", "1"]]).splitlines() == ["名  n", "ab  1"]
    tables = [block for block in document.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
