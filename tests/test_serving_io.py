"""Inputs to predictions and back out: nothing lost, nothing shifted, everything in order. The tagger is a fake one."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fewtag.data.formats import read_file
from fewtag.data.problems import Problems
from fewtag.errors import ConfigError, DataError, SetupError
from fewtag.serving import Document, Predictor, load
from fewtag.serving.documents import document_of
from fewtag.serving.readers import BadInput
from fewtag.serving.sources import expand, read_inputs
from fewtag.serving.writers import conll_of, jsonl_of, writable
from fewtag.text import Sentence, Span, spans_of
from fewtag.text.words import sentence_from_text


@dataclass(frozen=True)
class Said:
    """What the fake tagger says."""

    sentence: Sentence
    tags: tuple[str, ...]
    spans: tuple[Span, ...]
    span_confidences: tuple[float, ...]
    windows: int = 1


class CapitalTagger:
    """Runs of capitalized tokens are names; the confidence is 0.9 for a run of two and more, 0.5 for one token."""

    languages = ("de", "en")

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.busy = False

    def predict(self, sentences: Sequence[Sentence], *, batch_tokens: int = 4096) -> list[Said]:
        assert not self.busy, "called by two threads at once"
        self.busy = True
        self.calls.append(len(sentences))
        result = []
        for sentence in sentences:
            capital = [token[0].isupper() for token in sentence.tokens]
            tags = tuple("O" if not this else "I-NAME" if index and capital[index - 1] else "B-NAME" for index, this in enumerate(capital))
            spans = spans_of(tags)
            result.append(Said(sentence, tags, spans, tuple(0.9 if s.end - s.start > 1 else 0.5 for s in spans)))
        time.sleep(0.001)
        self.busy = False
        return result


def said(sentence: Sentence, *spans: tuple[int, int, str, float]) -> Said:
    tags = ["O"] * len(sentence)
    for start, end, label, _ in spans:
        tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    return Said(sentence, tuple(tags), tuple(Span(*span[:3]) for span in spans), tuple(span[3] for span in spans))


# ---- documents


def test_document_is_the_documented_json() -> None:
    sentence = sentence_from_text("Angela Merkel besuchte Paris.", language="de", id="17")
    document = document_of(said(sentence, (0, 2, "PER", 0.98), (3, 4, "LOC", 0.987654)), model="first@3f2c9a")
    assert document.to_json() == {
        "id": "17",
        "lang": "de",
        "text": "Angela Merkel besuchte Paris.",
        "entities": [
            {"start": 0, "end": 13, "text": "Angela Merkel", "label": "PER", "score": 0.98},
            {"start": 23, "end": 28, "text": "Paris", "label": "LOC", "score": 0.9877},
        ],
        "windows": 1,
        "truncated": False,
        "model": "first@3f2c9a",
    }


@pytest.mark.parametrize("text", ["👩‍🚀 Ada  🇩🇪 in\tBerlin", "e\u0301 Ada im Berlin", "  Ada\u00a0 Berlin ", "東京 Ada へ Berlin"])
def test_offsets_count_code_points_of_the_text_as_given(text: str) -> None:
    document = Predictor(CapitalTagger())(text)
    assert document.text == text
    assert {"Ada", "Berlin"} <= set(" ".join(e.text for e in document.entities).split())
    for entity in document.entities:
        assert text[entity.start : entity.end] == entity.text
    assert "".join(document.tokens) == "".join(text.split())


def test_tokens_come_back_with_tags_and_offsets_into_the_joined_text() -> None:
    document = document_of(said(Sentence(("New York", "is", "big")), (0, 1, "LOC", 0.5), (2, 3, "X", 0.5)))
    assert document.text == "New York is big"
    assert [(e.start, e.end, e.text) for e in document.entities] == [(0, 8, "New York"), (12, 15, "big")]
    assert document.to_json()["tokens"] == ["New York", "is", "big"]
    assert document.to_json()["tags"] == ["B-LOC", "O", "B-X"]


def test_threshold_drops_a_span_from_entities_and_tags_alike() -> None:
    sentence = Sentence(("Ada", "Lovelace", "Paris"))
    document = document_of(said(sentence, (0, 2, "PER", 0.7), (2, 3, "LOC", 0.8)), threshold=0.8)
    assert [e.text for e in document.entities] == ["Paris"]
    assert document.tags == ("O", "O", "B-LOC")


def test_an_incomplete_prediction_is_refused() -> None:
    with pytest.raises(ValueError, match="3 tokens but 2 tags"):
        document_of(Said(Sentence(("a", "b", "c"), id="x"), ("O", "O"), (), ()))
    with pytest.raises(ValueError, match="1 spans but 0"):
        document_of(Said(Sentence(("a",)), ("B-X",), (Span(0, 1, "X"),), ()))


@pytest.mark.parametrize("given", ["Ada Lovelace sah 😀 Paris", ["Ada", "Lovelace", "sah", "Paris"]])
def test_predictions_are_valid_training_data(given: str | list[str], tmp_path: Path) -> None:
    document = Predictor(CapitalTagger())(given, "de")
    for name, line in (("x.jsonl", jsonl_of(document)), ("x.conll", conll_of(document))):
        (tmp_path / name).write_text(line, "utf-8")
        problems = Problems()
        (sentence,) = read_file(tmp_path / name, language="de", problems=problems)
        assert not list(problems)
        assert (sentence.tokens, sentence.tags, sentence.id) == (document.tokens, document.tags, "1")


# ---- readers


def read(tmp_path: Path, name: str, content: str | bytes, **options: str) -> list[Sentence | BadInput]:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_inputs([str(tmp_path / name)], **options))


def tokens_of(records: list[Sentence | BadInput]) -> list[tuple[str, ...] | str]:
    return [record.message if isinstance(record, BadInput) else record.tokens for record in records]


def test_txt_keeps_every_line(tmp_path: Path) -> None:
    records = read(tmp_path, "a.txt", b"\xef\xbb\xbfEins zwei\r\n\n  \nfour\x0bfive\nlast", language="de")
    assert [r.text for r in records if isinstance(r, Sentence)] == ["Eins zwei", "", "  ", "four\x0bfive", "last"]
    assert [r.id for r in records] == ["1", "2", "3", "4", "5"]
    assert records[4].source == f"{tmp_path}/a.txt:5"
    assert {r.language for r in records if isinstance(r, Sentence)} == {"de"}


def test_a_line_of_other_bytes_is_an_error_in_its_place(tmp_path: Path) -> None:
    first, bad, last = read(tmp_path, "a.txt", b"one\nGr\xfc\xdfe\nthree\n")
    assert tokens_of([first, last]) == [("one",), ("three",)]
    assert bad == BadInput("2", f"{tmp_path}/a.txt:2", "byte 0xfc at byte 3 of the line is not UTF-8; save the file as UTF-8")
    assert bad.to_json() == {"id": "2", "error": f"{bad.source}: {bad.message}"}
    (wide,) = read(tmp_path, "b.txt", "eins\nzwei\n".encode("utf-16"))
    assert isinstance(wide, BadInput) and "UTF-16" in wide.message


def test_jsonl_texts_and_tokens(tmp_path: Path) -> None:
    lines = [
        {"id": 7, "text": "Bonjour Paris", "lang": "fr", "other": 1},
        {"tokens": ["Bonjour", "Paris"]},
        {"text": "Bonjour, Paris", "tokens": ["Bonjour", ",", "Paris"]},
        {"text": ""},
    ]
    given = "\n".join(map(json.dumps, lines)) + "\n\n"
    a, b, c, d, e = read(tmp_path, "a.jsonl", given, language="und")
    assert isinstance(a, Sentence) and (a.id, a.language, a.text) == ("7", "fr", "Bonjour Paris")
    assert isinstance(b, Sentence) and (b.id, b.text, b.tokens) == ("2", None, ("Bonjour", "Paris"))
    assert isinstance(c, Sentence) and (c.text, c.offsets) == ("Bonjour, Paris", ((0, 7), (7, 8), (9, 14)))
    assert [x.tokens for x in (d, e) if isinstance(x, Sentence)] == [(), ()]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON: .* at column 2"),
        ("[1]", "expected an object with text or tokens, found list"),
        ('{"id": "x", "words": ["a"]}', "neither text nor tokens; found the keys 'id', 'words'"),
        ('{"id": "x", "text": 5}', "text must be a string, not 5"),
        ('{"id": "x", "text": 5, "tokens": ["a"]}', "text must be a string, not 5"),
        ('{"id": "x", "tokens": "a b"}', "list of strings"),
        ('{"id": "x", "tokens": ["a", ""]}', "none of them empty"),
        ('{"id": "x", "tokens": ["a", "b"], "text": "a c"}', "token 2, 'b', does not stand"),
        ('{"id": "x", "text": "a", "lang": 3}', "lang must be a string"),
        ('{"id": "x", "text": "a \\ud83d"}', "surrogate"),
        ("[" * 100_000, "JSON that cannot be read"),
        ('{"id": "x", "text": "a b", "tokens": []}', "tokens is empty and text is not"),
    ],
)
def test_bad_json_is_an_error_in_its_place(tmp_path: Path, line: str, message: str) -> None:
    good, bad, last = read(tmp_path, "a.jsonl", f'{{"text": "one"}}\n{line}\n{{"text": "three"}}')
    assert tokens_of([good, last]) == [("one",), ("three",)]
    assert isinstance(bad, BadInput)
    assert re.search(message, bad.message)
    assert bad.source.endswith("a.jsonl:2")
    assert bad.id == ("x" if '"x"' in line else "2")


def test_conll_takes_the_first_column(tmp_path: Path) -> None:
    content = "-DOCSTART- -X- O\n\n# id = s 1\nEU\tNNP\tB-ORG\nNew\u00a0York\tNNP\tO\n\n\n# note\nPeter NN\n#\tO\n#tag O\n\nlone\n"
    one, two, three = read(tmp_path, "a.conll", content)
    assert tokens_of([one, two, three]) == [("EU", "New\u00a0York"), ("Peter", "#", "#tag"), ("lone",)]
    assert [r.id for r in (one, two, three)] == ["s 1", "2", "3"]
    assert [r.source.rpartition(":")[2] for r in (one, two, three)] == ["4", "9", "13"]


def test_conll_sentence_with_a_hole_is_one_error(tmp_path: Path) -> None:
    content = b"a\tO\n\n# id = x\nb\tO\n\tB-PER\nc\tO\n\nd\tO\n\xff\tO\n\ne\n"
    good, hole, bytes_, last = read(tmp_path, "a.conll", content)
    assert tokens_of([good, last]) == [("a",), ("e",)]
    assert isinstance(hole, BadInput) and hole.id == "x" and "line 5: the first column" in hole.message
    assert isinstance(bytes_, BadInput) and "line 9: byte 0xff" in bytes_.message


def test_packed_files_and_broken_ones(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(f"line {n} {n * n}" for n in range(5000)).encode())
    assert len(read(tmp_path, "a.txt.gz", packed)) == 5000
    records = read(tmp_path, "b.txt.gz", packed[: len(packed) // 2])
    assert isinstance(records[-1], BadInput) and f"beyond its first {len(records) - 1} inputs" in records[-1].message
    assert all(isinstance(record, Sentence) for record in records[:-1])
    (tmp_path / "c.txt.gz").write_bytes(b"not packed")
    (tmp_path / "d.txt").write_text("still read")
    bad, good = read_inputs([str(tmp_path / "c.txt.gz"), str(tmp_path / "d.txt")])
    assert isinstance(bad, BadInput) and isinstance(good, Sentence)


def test_patterns(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.jsonl", "x[1].txt"):
        (tmp_path / name).write_text("hi")
    here = str(tmp_path)
    assert expand([f"{here}/c.jsonl", f"{here}/?.txt"]) == [f"{here}/c.jsonl", f"{here}/a.txt", f"{here}/b.txt"]
    assert expand([f"{here}/x[1].txt"]) == [f"{here}/x[1].txt"]
    assert expand([]) == ["-"]
    for pattern, message in ((f"{here}/no.txt", "no such file"), (f"{here}/*.xml", "no file matches"), (here, "is a folder")):
        with pytest.raises(DataError, match=message):
            read_inputs([pattern])
    with pytest.raises(ConfigError, match="only once"):
        expand(["-", "-"])
    (tmp_path / "d.csv").write_text("hi")
    with pytest.raises(ConfigError, match=r"'.csv' says nothing.*--in-format"):
        read_inputs([f"{here}/d.csv"])
    assert tokens_of(list(read_inputs([f"{here}/d.csv"], format="txt"))) == [("hi",)]
    with pytest.raises(ConfigError, match="Did you mean 'jsonl'"):
        read_inputs([f"{here}/a.txt"], format="json")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b'{"text": "a"}\n\n', [("a",), ()]),
        (b"plain\n{not json\n", [("plain",), ("{", "not", "json")]),
        (b'{"b": 1}\n', [("{", '"', "b", '"', ":", "1", "}")]),
        (b"", []),
    ],
)
def test_standard_input_is_json_only_when_it_begins_so(given: bytes, expected: list[tuple[str, ...]]) -> None:
    assert tokens_of(list(read_inputs([], stdin=io.BytesIO(given)))) == expected


def test_reading_holds_no_more_than_a_chunk() -> None:
    pulled = 0

    def endless() -> Iterator[bytes]:
        nonlocal pulled
        for number in itertools.count():
            pulled += 1
            yield f"Line {number}\n".encode()

    results = Predictor(CapitalTagger()).records(read_inputs([], stdin=endless()), chunk=10)  # type: ignore[arg-type]
    assert [result.id for result in itertools.islice(results, 25)] == [str(n) for n in range(1, 26)]
    assert pulled <= 31


# ---- predictor


def test_predictor_on_texts_tokens_and_sentences() -> None:
    predictor = Predictor(CapitalTagger(), name="first")
    text, tokens, sentence = predictor.many(["Ada sah", ["Ada", "sah"], Sentence(("ada",), language="en", id="s")], "de")
    assert (text.language, text.id, text.model, text.from_tokens) == ("de", "1", "first", False)
    assert (tokens.tags, tokens.id, tokens.from_tokens) == (("B-NAME", "O"), "2", True)
    assert (sentence.language, sentence.id) == ("en", "s")
    assert predictor("").entities == predictor([]).entities == ()
    assert predictor("x").language == "und"
    assert predictor.many([]) == []


def test_stream_keeps_order_and_chunks() -> None:
    tagger = CapitalTagger()
    lines = io.StringIO("".join(f"Name{n} x\n" for n in range(7)))
    documents = list(Predictor(tagger).stream(lines, "de", chunk=3))
    assert [d.text for d in documents] == [f"Name{n} x" for n in range(7)]
    assert [d.id for d in documents] == list("1234567")
    assert tagger.calls == [3, 3, 1]


def test_records_pass_what_is_bad_in_its_place() -> None:
    bad = BadInput("2", "f:2", "broken")
    records = [Sentence(("Ada",), id="1"), bad, bad, Sentence((), id="4")]
    results = list(Predictor(CapitalTagger()).records(records, chunk=3))
    assert [r.id for r in results] == ["1", "2", "2", "4"]
    assert results[1:3] == [bad, bad] and isinstance(results[3], Document)


def test_threads_take_turns() -> None:
    predictor, found = Predictor(CapitalTagger()), {}

    def work(number: int) -> None:
        found[number] = [predictor(f"Name{number} x{n}").text for n in range(5)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [f"Name{number} x{n}" for n in range(5)] for number in range(8)}


def test_predictor_refuses_what_cannot_be_meant() -> None:
    predictor = Predictor(CapitalTagger())
    with pytest.raises(DataError, match="token 2 is ''"):
        predictor(["a", ""])
    with pytest.raises(TypeError, match="one string"):
        predictor.many("a text")
    with pytest.raises(TypeError, match="one string"):
        next(predictor.stream("a text"))
    with pytest.raises(ConfigError, match=r"1\.5"):
        Predictor(CapitalTagger(), threshold=1.5)
    with pytest.raises(ConfigError, match="batch_tokens"):
        Predictor(CapitalTagger(), batch_tokens=0)


def test_load_reads_a_tagger_folder(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from fewtag.encoders.compact import CompactConfig, CompactEncoder
    from fewtag.tagger import Tagger
    from fewtag.tagger.folder import save
    from fewtag.text import TagSet

    tagger = Tagger(CompactEncoder(CompactConfig(buckets=50, width=8, layers=1)), TagSet(("PER",)), languages=("de",))
    save(tagger, tmp_path / "first" / "model", card="", extra={"run": "3f2c9a00ffff"})
    document = load(tmp_path / "first" / "model")("Ada sah Paris", "de")
    assert document.tokens == ("Ada", "sah", "Paris") and document.model == "first@3f2c9a"
    with pytest.raises(SetupError, match="no such folder"):
        load(tmp_path / "second")


def test_serving_does_not_import_torch() -> None:
    code = "import sys, fewtag.serving.sources, fewtag.evaluation.tables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- writers and the command


def test_conll_refuses_a_token_it_cannot_carry() -> None:
    document = Predictor(CapitalTagger())(["a\tb", "c"])
    assert writable(document, "jsonl") is document
    bad = writable(document, "conll")
    assert isinstance(bad, BadInput) and "token 1, 'a\\tb'" in bad.message
    assert conll_of(BadInput("3", "f:3", "two\nlines")) == "# id = 3\n# error = f:3: two lines\n\n"
    assert conll_of(Predictor(CapitalTagger())(["Ada", "sah"])) == "# id = 1\nAda\tB-NAME\nsah\tO\n\n"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    pytest.importorskip("torch")
    import fewtag.cli.predict as module

    def fake(model: Path, device: str, batch_tokens: int, threshold: float, precision: str | None) -> Predictor:
        return Predictor(CapitalTagger(), batch_tokens=batch_tokens, threshold=threshold, name=model.name)

    monkeypatch.setattr(module, "_load", fake)
    app = typer.Typer()
    app.command()(module.predict)
    return app


def test_predict_writes_a_record_per_line_and_exits_3_after_a_bad_one(command: typer.Typer) -> None:
    done = CliRunner().invoke(command, ["m", "--lang", "de"], input=b"Ada sah Paris\n\n\xff\nlast Line\n")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 3
    assert [record["id"] for record in records] == ["1", "2", "3", "4"]
    assert [e["text"] for e in records[0]["entities"]] == ["Ada", "Paris"]
    assert records[1]["entities"] == [] and "<stdin>:3: byte 0xff" in records[2]["error"]
    assert records[0]["lang"] == "de" and records[0]["model"] == "m"
    assert "4 inputs · 3 entities · 0 windowed · 0 truncated · 1 errors" in done.stderr


def test_predict_files_to_a_file(command: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "x", "tokens": ["Ada", "Byron", "and", "Bob"]}\n')
    (tmp_path / "b.txt").write_text("Bob waits\n")
    out = tmp_path / "deep" / "out.conll"
    arguments = ["m", str(tmp_path / "*.*"), "--out-format", "conll", "-o", str(out), "--threshold", "0.6", "--lang", "xx"]
    done = CliRunner().invoke(command, arguments)
    assert (done.exit_code, done.stdout) == (0, "")
    assert out.read_text() == "# id = x\nAda\tB-NAME\nByron\tI-NAME\nand\tO\nBob\tO\n\n# id = 2\nBob\tO\nwaits\tO\n\n"
    assert "'xx'" in done.stderr and "2 inputs · 1 entities" in done.stderr
    again = CliRunner().invoke(command, arguments)
    assert isinstance(again.exception, ConfigError) and "--force" in str(again.exception)
    quiet = CliRunner().invoke(command, [*arguments, "--force", "-q"])
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    assert [path.name for path in out.parent.iterdir()] == ["out.conll"]


def test_predict_refuses_before_it_loads_or_writes(command: typer.Typer, tmp_path: Path) -> None:
    for arguments, kind, message in (
        (["m", str(tmp_path / "none.txt")], DataError, "no such file"),
        (["m", "--out-format", "jsonll"], ConfigError, "Did you mean 'jsonl'"),
        (["m", "-o", str(tmp_path)], ConfigError, "is a folder"),
    ):
        done = CliRunner().invoke(command, arguments)
        assert isinstance(done.exception, kind) and message in str(done.exception)
        assert done.stdout == ""


def test_predict_into_a_closed_pipe_ends_quietly() -> None:
    pytest.importorskip("torch")
    code = textwrap.dedent("""
        import sys, typer
        sys.path.insert(0, sys.argv.pop(1))
        import fewtag.cli.predict as module
        from test_serving_io import CapitalTagger, Predictor
        module._load = lambda *a: Predictor(CapitalTagger())
        app = typer.Typer()
        app.command()(module.predict)
        app()
    """)
    lines = b"Ada sah Paris und sonst nichts weiter\n" * 20_000
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent), "m", "-q"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        feeder = threading.Thread(target=_feed, args=(process.stdin, lines))
        feeder.start()
        assert process.stdout.readline().startswith(b'{"id": "1"')
        process.stdout.close()
        complaint = process.stderr.read()
        assert (process.wait(), complaint) == (0, b"")
        feeder.join()


def _feed(stream: io.BufferedIOBase, lines: bytes) -> None:
    try:
        stream.write(lines)
        stream.close()
    except BrokenPipeError:
        pass
