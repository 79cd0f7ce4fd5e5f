"""Readers and writers: bad input is named by file and line, nothing is lost in silence, and what is written can be read again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewtag.data.corpus import Corpus
from fewtag.data.files import write_text
from fewtag.data.formats import FORMATS, format_of, read_file
from fewtag.data.formats.offsets import CharacterSpan, labeled_sentence, utf16_to_codepoint
from fewtag.data.ledger import count_in_file
from fewtag.data.problems import Problems
from fewtag.errors import ConfigError, DataError
from fewtag.text import Sentence, Span, spans_of, tags_of


def read(path: Path, content: str | bytes, **options: object) -> tuple[list[Sentence], Problems]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    problems = Problems()
    return read_file(path, language="en", problems=problems, **options), problems  # type: ignore[arg-type]


def test_conll_with_everything_people_put_into_it(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- O O\r\n\r\n# id = first\r\nEU NNP I-NP B-ORG\r\nrejects VBZ I-VP O\r\n\r\n\r\n#\tO\r\n! . O O\r\n"
    sentences, problems = read(tmp_path / "a.conll", b"\xef\xbb\xbf" + text.encode())
    assert [s.tokens for s in sentences] == [("EU", "rejects"), ("#", "!")]
    assert sentences[0].id == "first" and sentences[0].tags == ("B-ORG", "O")
    assert sentences[0].source.endswith("a.conll:4") and not len(problems)


def test_conll_columns_and_separator(tmp_path: Path) -> None:
    sentences, problems = read(tmp_path / "a.tsv", "1;B-PER;Ann\n2;O;runs\n", separator=";", token_column=2, tag_column=1)
    assert sentences[0].tokens == ("Ann", "runs") and sentences[0].tags == ("B-PER", "O") and not len(problems)
    with pytest.raises(ConfigError, match="must differ"):
        read(tmp_path / "a.tsv", "a\tO\n", token_column=0, tag_column=0)


@pytest.mark.parametrize(
    ("name", "content", "line", "says"),
    [
        ("a.conll", "a\tO\nb\n\nc\tO\n", 2, "expected a token and a tag"),
        ("a.conll", "a\tO\n \tB-X\n\nc\tO\n", 2, "empty"),
        ("a.conll", b"a\tO\ncaf\xe9\tO\n\nc\tO\n", 2, "0xe9 at column 4 is not UTF-8"),
        ("a.conll", "a\tB-PER\nb\tb-per\n\nc\tO\n", 2, "did you mean B-PER"),
        ("a.conll", "a\tPER\n\nc\tO\n", 1, "is not a tag"),
        ("a.jsonl", '{"text": "a"\n{"tokens": ["c"], "tags": ["O"]}\n', 1, "not JSON"),
        ("a.jsonl", '{"text": "a \\ud83d", "spans": []}\n{"tokens": ["c"]}\n', 1, "half of a surrogate pair"),
        ("a.jsonl", '{"text": "a", "n": ' + "7" * 5000 + '}\n{"tokens": ["c"]}\n', 1, "JSON that cannot be read"),
        ("a.jsonl", "[" * 200_000 + '\n{"tokens": ["c"]}\n', 1, "JSON that cannot be read"),
        ("a.jsonl", '{"tokens": ["a"], "spans": [[0, 1, "X"]]}\n{"tokens": ["c"]}\n', 1, "spans without a text"),
        ("a.jsonl", '[1]\n{"tokens": ["c"], "tags": ["O"]}\n', 1, "expected an object"),
        ("a.jsonl", '{"tokens": ["a"], "tags": []}\n{"tokens": ["c"], "tags": ["O"]}\n', 1, "the tokens are 1 but the tags 0"),
        ("a.jsonl", '{"text": "ab", "entities": [{"start": 0, "end": 9, "label": "X"}]}\n{"tokens": ["c"]}\n', 1, "outside a text of 2"),
        ("a.jsonl", '{"text": "a b c", "spans": [[0, 3, "X"], [2, 5, "Y"]]}\n{"tokens": ["c"]}\n', 1, "overlaps 0..3 X"),
        ("a.jsonl", '{"text": "a   b", "spans": [[1, 3, "X"]]}\n{"tokens": ["c"]}\n', 1, "only white space"),
        ("a.jsonl", '{"text": "a", "spans": [["x", 3, "X"]]}\n{"tokens": ["c"]}\n', 1, "is not a span"),
        ("a.jsonl", '{"body": "a"}\n{"tokens": ["c"]}\n', 1, "found the keys body"),
    ],
)
def test_bad_input_is_named_and_the_rest_is_read(tmp_path: Path, name: str, content: str | bytes, line: int, says: str) -> None:
    sentences, problems = read(tmp_path / name, content)
    [error] = problems.errors
    assert (error.line, Path(error.path).name) == (line, name) and says in error.message
    assert ("c",) in [s.tokens for s in sentences] and ("a",) not in [s.tokens for s in sentences]
    with pytest.raises(DataError, match=rf"{name}:{line}: "):
        problems.raise_for_errors()


def test_spans_count_where_tokens_stand_beside_their_text(tmp_path: Path) -> None:
    """Prodigy writes both, the tokens as objects; what is known of a record must not depend on which key comes first."""
    lines = [
        '{"id": null, "text": "red shoe", "tokens": ["red", "shoe"], "entities": [{"start": 0, "end": 3, "label": "C"}]}',
        '{"id": null, "text": "red hat", "tokens": [{"text": "red"}, {"text": "hat"}], "entities": [], "spans": [[4, 7, "T"]]}',
        '{"text": "old hat", "tokens": ["old hat"], "tags": ["B-T"], "spans": [[0, 7, "T"]]}',
        '{"tokens": ["no", "spans"], "label": "news"}',
        '{"text": "no spans", "entities": [], "label": "news"}',
        '{"text": "red", "label": {"start": 0, "end": 3, "label": "C"}, "labels": []}',
    ]
    path = tmp_path / "train.jsonl"
    sentences, problems = read(path, "\n".join(lines) + "\n")
    assert not len(problems)
    assert [s.tags for s in sentences] == [("B-C", "O"), ("O", "B-T"), ("B-T",), None, ("O", "O"), ("B-C",)]
    assert len({s.id for s in sentences}) == 6  # null is no id
    assert count_in_file(path) == 4


def test_comments_that_end_like_tags_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "train.conll"
    text = "# sent_id = S-1\n# text = at B-Hall\n#\tB-X\n# B-Y\nb\tI-Y\n\n# B-X\nc\tO\n"
    sentences, _ = read(path, text)
    assert [s.tokens for s in sentences] == [("#", "#", "b"), ("#", "c")]
    assert count_in_file(path) == 3 == sum(len(spans_of(s.tags or ())) for s in sentences)


def test_a_hash_that_begins_a_sentence_of_wide_lines_is_its_first_token(tmp_path: Path) -> None:
    """As wide as the token lines before it and with a tag last; comments are neither."""
    text = "red JJ I-NP B-X\n\n# SYM I-NP I-X\nhat NN I-NP O\n\n# a comment, and B-X\nblue JJ I-NP O\n"
    sentences, problems = read(tmp_path / "a.conll", text)
    assert [s.tokens for s in sentences] == [("red",), ("#", "hat"), ("blue",)] and not problems.errors
    assert count_in_file(tmp_path / "a.conll") == 2


@pytest.mark.parametrize(
    "comment", ["# sent_id = B-2", "# sent_id = s-2", "# page 3-4", "# newdoc\tB-12", "# see page B-1"], ids=lambda text: text[2:8]
)
def test_a_comment_as_wide_as_a_token_is_a_comment(tmp_path: Path, comment: str) -> None:
    wide = ["red\tJJ\tI-NP\tB-X", "hat\tNN\tI-NP\tI-X"] if len(comment.split()) == 4 else ["red JJ B-X", "hat NN I-X"]
    sentences, problems = read(tmp_path / "a.conll", "\n".join([wide[0], "", comment, wide[1]]) + "\n")
    assert [s.tokens for s in sentences] == [("red",), ("hat",)] and not problems.errors
    assert count_in_file(tmp_path / "a.conll") == 2


@pytest.mark.parametrize("tags", [["S-LOC", "O", "B-LOC", "E-LOC"], ["U-LOC", "O", "B-LOC", "L-LOC"], ["I-LOC", "O", "I-LOC", "I-LOC"]])
def test_entities_of_any_scheme_are_counted_in_jsonl(tmp_path: Path, tags: list[str]) -> None:
    sentences, problems = read(tmp_path / "a.jsonl", json.dumps({"tokens": ["Rom", "in", "New", "York"], "tags": tags}) + "\n")
    assert len(spans_of(sentences[0].tags or ())) == count_in_file(tmp_path / "a.jsonl") == 2 and not problems.errors


def test_damaged_gzip_is_said_wherever_it_is_damaged(tmp_path: Path) -> None:
    whole, told = gzip.compress(("\n".join(f"word{number}\tB-X" for number in range(2000))).encode()), set()
    for place in range(20, len(whole) - 8, 97):
        path = tmp_path / f"{place}.conll.gz"
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(DataError, match="damaged or not gzip") as caught:
            read_file(path, language="en", problems=Problems())
        told.add("decompressing" in str(caught.value))
    assert told == {True, False}, "both what gzip notices and what zlib does"


@pytest.mark.parametrize("encoding", ["gb2312", "klingon"])
def test_xml_of_an_encoding_that_cannot_be_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.xml").write_bytes(f"<?xml version='1.0' encoding='{encoding}'?><Reviews></Reviews>".encode())
    with pytest.raises(DataError, match=r"its encoding cannot be read .*save it as UTF-8"):
        read_file(tmp_path / "a.xml", language="en", problems=Problems())


@pytest.mark.parametrize("token", ["a\tb", "a\nb", "a\rb"])
def test_a_token_that_conll_cannot_hold_is_refused(tmp_path: Path, token: str) -> None:
    write = FORMATS["conll"].write
    assert write is not None
    with pytest.raises(ConfigError, match=r"holds a tab or a line end, which CoNLL cannot; write .jsonl"):
        write([Sentence((token, "c"), ("B-X", "O"), "en", "1")], tmp_path / "a.conll")
    assert not (tmp_path / "a.conll").exists()


def test_utf16_file_missing_file_and_false_gzip(tmp_path: Path) -> None:
    _, problems = read(tmp_path / "a.txt", "hello".encode("utf-16"))
    assert "UTF-16; save it as UTF-8" in problems.errors[0].message
    with pytest.raises(DataError, match=r"none.txt: no such file"):
        read_file(tmp_path / "none.txt", language="en", problems=Problems())
    with pytest.raises(DataError, match="damaged or not gzip"):
        read(tmp_path / "a.txt.gz", b"plain")


def test_orphan_i_is_a_warning_with_its_line(tmp_path: Path) -> None:
    sentences, problems = read(tmp_path / "a.conll", "x\tB-LOC\n\na\tB-PER\nb\tI-LOC\n")
    assert sentences[1].tags == ("B-PER", "B-LOC")
    assert [str(p).rpartition("/")[2] for p in problems.warnings] == ["a.conll:4: I-LOC after B-PER (treated as B-LOC)"]


@pytest.mark.parametrize("scheme", ["BIOES", "BILOU", "IOB1", "IO"])
def test_schemes_are_recognized_per_file(tmp_path: Path, scheme: str) -> None:
    spans = [Span(0, 1, "A"), Span(2, 5, "B"), Span(5, 6, "B")] if scheme != "IO" else [Span(0, 1, "A"), Span(2, 5, "B")]
    tags = tags_of(spans, 7, scheme)
    sentences, problems = read(tmp_path / "a.conll", "".join(f"w{i}\t{t}\n" for i, t in enumerate(tags)))
    assert list(spans_of(sentences[0].tags or ())) == spans and not len(problems)


def test_a_span_that_cuts_a_token_splits_it() -> None:
    problems = Problems()
    sentence = labeled_sentence("iphone14case", [CharacterSpan(0, 8, "M")], "en", "", "a.jsonl:1", problems)
    assert sentence is not None and sentence.tokens == ("iphone14", "case") and sentence.tags == ("B-M", "O")


def test_utf16_offsets_are_repaired_when_only_they_fit(tmp_path: Path) -> None:
    record = {"text": "😀 buy Paris", "entities": [{"start": 7, "end": 12, "label": "LOC", "text": "Paris"}]}
    sentences, problems = read(tmp_path / "a.jsonl", json.dumps(record))
    assert sentences[0].tags == ("O", "O", "B-LOC") and problems.warnings[0].kind == "utf16"
    assert utf16_to_codepoint("😀a", CharacterSpan(0, 1, "X")) is None
    record["entities"][0] |= {"start": 6, "end": 11}  # type: ignore[index]
    sentences, problems = read(tmp_path / "a.jsonl", json.dumps(record))
    assert sentences[0].tags == ("O", "O", "B-LOC") and not len(problems)


ABSA_2016 = """<?xml version="1.0" encoding="UTF-8"?>
<Reviews><Review rid="1"><sentences>
 <sentence id="1:0"><text>The food was great, the service bad.</text><Opinions>
  <Opinion target="food" category="FOOD#QUALITY" polarity="positive" from="4" to="8"/>
  <Opinion target="food" category="FOOD#PRICE" polarity="positive" from="4" to="8"/>
  <Opinion target="service" category="SERVICE#GENERAL" polarity="negative" from="24" to="31"/>
  <Opinion target="NULL" category="X" polarity="negative" from="0" to="0"/></Opinions></sentence>
 <sentence id="1:1"><text>So so.</text></sentence>
</sentences></Review></Reviews>"""
ABSA_2014 = """<sentences><sentence id="7"><text>Nice staff &amp; food</text><aspectTerms>
<aspectTerm term="staff" polarity="positive" from="5" to="10"/><aspectTerm term="food" polarity="conflict" from="13" to="17"/>
</aspectTerms></sentence></sentences>"""


def test_absa_xml_of_both_years(tmp_path: Path) -> None:
    sentences, problems = read(tmp_path / "a.xml", ABSA_2016)
    assert [(s.id, s.tokens[span.start], span.label) for s in sentences for span in spans_of(s.tags or ())] == [
        ("1:0", "food", "POS"),
        ("1:0", "service", "NEG"),
    ]
    assert len(sentences) == 2 and [p.kind for p in problems] == ["null-target"]
    sentences, problems = read(tmp_path / "b.xml.gz", gzip.compress(ABSA_2014.encode()))
    assert sentences[0].tokens == ("Nice", "staff", "&", "food") and sentences[0].tags == ("O", "B-POS", "O", "B-CONFLICT")


def test_xml_that_is_none_or_dangerous(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.xml:2: not well-formed XML"):
        read(tmp_path / "a.xml", "<sentences>\n<sentence></sentences>")
    with pytest.raises(DataError, match="entity declarations"):
        read(tmp_path / "a.xml", '<!DOCTYPE x [<!ENTITY a "b">]><sentences/>')
    _, problems = read(tmp_path / "a.xml", ABSA_2014.replace('from="5"', 'from="five"'))
    assert problems.errors[0].kind == "bad-target" and problems.errors[0].line == 1


def test_format_by_suffix_and_name(tmp_path: Path) -> None:
    assert format_of(Path("x.jsonl.gz")).name == "jsonl" and format_of(Path("x.dat"), "conll").name == "conll"
    with pytest.raises(DataError, match=r"suffix '.docx'"):
        format_of(Path("x.docx"))
    with pytest.raises(ConfigError, match="Did you mean 'conll'"):
        format_of(Path("x"), "connl")


words = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8).filter(lambda w: w != "-DOCSTART-" and not w.isspace())


@st.composite
def tagged(draw: st.DrawFn) -> Sentence:
    tokens = draw(st.lists(words, min_size=1, max_size=8))
    spans, at = [], 0
    while at < len(tokens):
        length = draw(st.integers(1, 3))
        if draw(st.booleans()) and at + length <= len(tokens):
            spans.append(Span(at, at + length, draw(st.sampled_from(["PER", "X-y"]))))
        at += length
    return Sentence(tuple(tokens), tags_of(spans, len(tokens)), "en")


@pytest.mark.parametrize("name", ["a.conll", "a.conll.gz", "a.jsonl", "a.jsonl.gz"])
@given(sentences=st.lists(tagged(), min_size=1, max_size=4))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, name: str, sentences: list[Sentence]) -> None:
    path = tmp_path_factory.mktemp("trip") / name
    write = FORMATS[format_of(path).name].write
    assert write is not None
    write(sentences, path)
    problems = Problems()
    again = read_file(path, language="en", problems=problems)
    assert [(s.tokens, s.tags) for s in again] == [(s.tokens, s.tags) for s in sentences] and not len(problems)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), st.data())
def test_text_with_spans_round_trip(tmp_path_factory: pytest.TempPathFactory, text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    problems = Problems()
    sentence = labeled_sentence(text, [CharacterSpan(start, end, "X")], "en", "1", "a.jsonl:1", problems)
    if not text[start:end].strip():
        assert sentence is None and problems.errors
        return
    assert sentence is not None and sentence.offsets is not None
    [span] = spans_of(sentence.tags or ())
    assert text[sentence.offsets[span.start][0] : sentence.offsets[span.end - 1][1]] == text[start:end].strip()
    path = tmp_path_factory.mktemp("trip") / "a.jsonl"
    write = FORMATS["jsonl"].write
    assert write is not None
    write([sentence], path)
    [again] = read_file(path, language="en", problems=problems)
    assert (again.text, again.tokens, again.tags, again.offsets) == (text, sentence.tokens, sentence.tags, sentence.offsets)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def broken():  # type: ignore[no-untyped-def]
        yield "new"
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        write_text(path, broken())
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_unlabeled_sentences_cannot_become_conll(tmp_path: Path) -> None:
    write = FORMATS["conll"].write
    assert write is not None
    with pytest.raises(ConfigError, match="has no tags"):
        write([Sentence(("a",), id="x")], tmp_path / "a.conll")


def test_what_a_record_says_of_itself_is_compared(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "no"
    folder.mkdir(parents=True)
    record = {"text": "rød sko", "lang": "ja", "entities": [{"start": 0, "end": 3, "label": "c", "text": "blå"}]}
    (folder / "train.jsonl").write_text(json.dumps(record) + "\n")
    corpus = Corpus.from_dir(tmp_path / "data")
    said = [str(problem) for problem in corpus.problems.warnings]
    assert any("says it is 'blå', the text there is 'rød'" in line for line in said)
    assert any("another language (here 'ja') than the folder, 'no'" in line for line in said)
    assert corpus.sentences["no"]["train"][0].language == "no" and not corpus.problems.errors
