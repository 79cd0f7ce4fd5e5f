"""What people get wrong, and what they are told: each case is files, a command, its exit code and words it must print.

`python tests/bad_input.py` writes docs/bad-input.md; a test keeps the two the same.
"""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from typed import fewtag

DOCUMENT = Path(__file__).parent.parent / "docs" / "bad-input.md"
GOOD = "red\tB-color\nshoes\tB-thing\n\nblue\tB-color\ncoat\tB-thing\n"
DEV = "green\tB-color\nhat\tB-thing\n"
TEST = "white\tB-color\nsocks\tB-thing\n"


@dataclass(frozen=True)
class Case:
    """One mistake.

    Args:
        name: for people.
        files: what to write over a good data folder of one language; None removes a file.
        command: after ``fewtag``.
        exit: the exit code.
        says: what must stand in the output.
        stdin: given to the command.
    """

    name: str
    files: Mapping[str, str | bytes | None]
    exit: int
    says: str
    command: str = "check data"
    stdin: str = ""


def jsonl(line: str) -> dict[str, str | bytes | None]:
    return {"data/en/train.conll": None, "data/en/train.jsonl": line + '\n{"tokens": ["blue", "coat"], "tags": ["B-color", "B-thing"]}\n'}


TRAIN = "data/en/train.conll"
CASES = [
    Case("A line without a tag", {TRAIN: "red\tB-color\nshoes\n\n" + GOOD}, 3, "expected a token and a tag"),
    Case("A file that is not UTF-8", {TRAIN: "café\tB-thing\n\n".encode("latin-1") + GOOD.encode()}, 3, "is not UTF-8"),
    Case("A file in UTF-16", {TRAIN: GOOD.encode("utf-16")}, 3, "UTF-16; save it as UTF-8"),
    Case("A byte order mark and CRLF", {TRAIN: b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()}, 0, "0 entities lost"),
    Case("Line ends of an old Mac", {TRAIN: GOOD.replace("\n", "\r").encode()}, 3, "carriage returns alone"),
    Case("An I- tag that follows no B-", {TRAIN: "big\tO\nred\tI-color\n\n" + GOOD}, 0, "treated as B-color"),
    Case("A label in test that train never shows", {"data/en/test.conll": "xl\tB-size\n"}, 0, "but never in train"),
    Case(
        "A label that is nearly another",
        {"data/en/train.conll": "red\tB-color\nhat\tB-thing\n\n" * 20 + "green\tB-colour\nhat\tB-thing\n"},
        0,
        "is it misspelled?",
    ),
    Case("Labels that differ in case only", {"data/en/dev.conll": "green\tB-Color\nhat\tB-thing\n"}, 3, "did you mean 'color'?"),
    Case("A tag that is none", {TRAIN: "red\tcolor\n\n" + GOOD}, 3, "is not a tag"),
    Case("A span outside its text", jsonl('{"text": "red", "spans": [[0, 9, "color"]]}'), 3, "outside a text of 3"),
    Case("Spans that overlap", jsonl('{"text": "dark red hat", "spans": [[0, 8, "color"], [5, 12, "thing"]]}'), 3, "overlaps"),
    Case("A span without a label", jsonl('{"text": "red", "entities": [{"start": 0, "end": 3}]}'), 3, "write start, end and label"),
    Case("A line that is not JSON", jsonl('{"text": "red", "entities": ['), 3, "not JSON"),
    Case("Half a character", jsonl('{"text": "red \\ud83d", "entities": []}'), 3, "half of a surrogate pair"),
    Case(
        "Tokens beside a text with spans",
        jsonl('{"text": "red hat", "tokens": ["red", "hat"], "spans": [[0, 3, "color"]]}'),
        0,
        "0 entities lost",
    ),
    Case("Tokens with spans but no text", jsonl('{"tokens": ["red"], "spans": [[0, 3, "color"]]}'), 3, "write text, or tags of the tokens"),
    Case("A comment that ends like a tag", {TRAIN: "# sent_id = S-1\n" + GOOD}, 0, "0 entities lost"),
    Case("An object without text", jsonl('{"body": "red"}'), 3, "found the keys body"),
    Case("More tags than tokens", jsonl('{"tokens": ["red"], "tags": ["O", "O"]}'), 3, "the tokens are 1 but the tags 2"),
    Case("An empty file", {"data/en/dev.conll": ""}, 0, "holds no sentence"),
    Case("Empty lines and empty sentences", {TRAIN: "\n\n\n" + GOOD + "\n\n\n"}, 0, "0 entities lost"),
    Case("A sentence that is in train and in test", {"data/en/test.conll": "red\tB-color\nshoes\tB-thing\n"}, 0, "is also in train"),
    Case("A language folder named no", {"data/no/train.conll": "rød\tB-color\nsko\tB-thing\n"}, 0, "\nno "),
    Case("A .gz file that is none", {TRAIN: None, "data/en/train.conll.gz": GOOD}, 3, "damaged or not gzip"),
    Case(
        "A .gz file cut in the middle",
        {TRAIN: None, "data/en/train.conll.gz": gzip.compress(GOOD.encode() * 50, mtime=0)[:60]},
        3,
        "damaged or not gzip",
    ),
    Case("A file with another name", {"data/en/training.conll": GOOD}, 0, "not named after a split"),
    Case("The same split twice", {"data/en/train.jsonl": '{"tokens": ["a"], "tags": ["O"]}\n'}, 3, "keep one of them"),
    Case("A language in two spellings", {"data/dev.EN.conll": "red\tB-color\n"}, 3, "give it one name"),
    Case("The same id twice", {TRAIN: "# id = 1\nred\tB-color\n\n# id = 1\nhat\tB-thing\n"}, 3, "ids must differ"),
    Case("Raw text where labels belong", {TRAIN: None, "data/en/train.txt": "red shoes\n"}, 3, "raw text belongs into unlabeled.txt"),
    Case(
        "An index before the words",
        {TRAIN: "0\tred\tB-color\n1\tshoes\tB-thing\n\n0\tblue\tB-color\n1\tcoat\tB-thing\n2\there\tO\n3\t.\tO\n"},
        3,
        "--token-column 1",
    ),
    Case("A carriage return within a line", {TRAIN: "red\tB-color\rshoes\tB-thing\n\n" + GOOD}, 3, "a carriage return within"),
    Case("A test set without an entity", {"data/en/test.conll": "white\tO\nsocks\tO\n"}, 0, "will be 0 there whatever is tagged"),
    Case(
        "A test sentence that nobody has tagged",
        {"data/en/test.conll": None, "data/en/test.jsonl": '{"text": "red hat", "entities": []}\n{"text": "blue hat"}\n'},
        0,
        "cannot be scored",
    ),
    Case(
        "The same when it is to be scored",
        {"data/en/test.conll": None, "data/en/test.jsonl": '{"text": "red hat", "entities": []}\n{"text": "blue hat"}\n'},
        3,
        "cannot be scored",
        "train data -o run",
    ),
    Case("A folder that is not there", {}, 3, "no such folder", "check dta"),
    Case("A file where the folder belongs", {}, 3, "give the data folder it lies in", f"check {TRAIN}"),
    Case("A folder without data", {"empty/readme.md": "nothing"}, 3, "expected empty/en/train.conll", "check empty"),
    Case("A folder of another format", {"csv/en/train.csv": "red,B-color\n"}, 3, "; found csv/en/train.csv", "check csv"),
    Case("A language that is not there", {}, 3, "no files for fr", "check data --langs en,fr"),
    Case("A misspelled setting", {}, 2, "did you mean 'patience'", "train data -o run --set train.patiense=3"),
    Case("A misspelled key in fewtag.toml", {"data/fewtag.toml": "[train]\nsed = 1\n"}, 2, "seed", "train data -o run"),
    Case("A fewtag.toml that is not TOML", {"data/fewtag.toml": "[train\n"}, 2, "not valid TOML", "train data -o run"),
    Case("A word where a number belongs", {}, 2, "train.batch_size", "train data -o run --set train.batch_size=many"),
    Case("A learning rate below zero", {}, 2, "train.lr = -1", "train data -o run --set train.lr=-1"),
    Case("No threads at all", {}, 2, "train.threads = 0", "train data -o run --set train.threads=0"),
    Case("A run folder that is a file", {"run": "text"}, 2, "is a file; name a folder", "train data -o run"),
    Case("A folder split into itself", {}, 2, "its labels would be lost", "split data -o data --labeled 1 --force"),
    Case("An output that is an input", {"in.txt": "red hat\n"}, 2, "is also an input", "predict {model} in.txt -o in.txt --force"),
    Case("A method that is none", {}, 2, "Did you mean 'metats'", "train data -o run --method metast"),
    Case("A share of labels above all", {}, 2, "'150%' cannot be read", "train data -o run --labeled 150%"),
    Case("MetaTS without raw text", {}, 2, "put unlabeled.txt beside", "train data -o run --method metats"),
    Case("No place to write to", {}, 2, "-o runs/first", "train data"),
    Case("A run that is there already", {"run/metrics.json": "{}", "run/config.toml": ""}, 2, "--force", "train data -o run"),
    Case("Nothing to resume", {}, 2, "holds no run to resume", "train --resume -o nowhere"),
    Case("An encoder that is not there", {}, 4, "no such folder", "train data -o run --encoder ./models/mbert"),
    Case(
        "An encoder to fetch, without network",
        {},
        4,
        "not in the local cache and the network is switched off",
        "train data -o run --encoder bert-base-multilingual-cased --offline",
    ),
    Case("A device that is not there", {}, 4, "cannot be used", "train data -o run --device cuda:7"),
    Case("A tagger folder that is none", {}, 4, "is not a tagger folder", "predict data"),
    Case("A pattern without files", {}, 3, "no file matches", "predict {model} mails/*.txt"),
    Case("A bad line among good", {}, 3, '"error"', "predict {model} --in-format jsonl", '{"text": "hat"}\n{"text": 7}\n{"text": ""}\n'),
    Case("An output file that is there", {"out.jsonl": "old"}, 2, "--force", "predict {model} -o out.jsonl", "red hat\n"),
    Case("A conversion that loses its tags", {}, 0, "plain text holds no tags", f"convert {TRAIN} out.txt"),
    Case("A format that cannot be written", {}, 2, "can be read but not written", f"convert {TRAIN} out.xml"),
]  # fmt: skip


def prepare(folder: Path, case: Case) -> None:
    """A good data folder with the case's files over it."""
    for name, content in {TRAIN: GOOD, "data/en/dev.conll": DEV, "data/en/test.conll": TEST, **case.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)


def answer(case: Case, folder: Path, model: Path) -> tuple[int, str]:
    """Exit code and what was printed, stderr after stdout, names of this machine left out."""
    prepare(folder, case)
    words = [word.replace("{model}", str(model)) for word in case.command.split()]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160", "HF_HUB_OFFLINE": ""}
    done = fewtag(*words, folder=folder, stdin=case.stdin, environment=environment, timeout=120)
    printed = (done.stdout + done.stderr).replace(str(folder) + "/", "").replace(str(model), "{model}")
    return done.returncode, printed


def tiny_model(folder: Path) -> Path:
    """A tagger folder for the cases of ``predict``: weights as they fall, the same each time."""
    import torch

    from fewtag.encoders.compact import CompactConfig, CompactEncoder
    from fewtag.tagger.folder import save
    from fewtag.tagger.tagger import Tagger
    from fewtag.text.tags import TagSet

    torch.manual_seed(0)
    tagger = Tagger(CompactEncoder(CompactConfig()), TagSet.from_tags(["B-color", "B-thing"]), languages=["en"])
    save(tagger, folder, card="")
    return folder


def document() -> str:
    """The table as Markdown."""
    lines = [
        "# What goes wrong, and what fewtag says",
        "",
        "Each case is a data folder of one language with one thing wrong in it, and a command. Exit codes: 0 fine (what is only worth",
        "knowing is a warning), 2 a wrong option or setting, 3 errors in data, 4 something is missing on this machine. Nothing ends in a",
        "traceback. Made by `python tests/bad_input.py`; a test keeps this page true.",
        "",
    ]
    with tempfile.TemporaryDirectory() as name:
        model = tiny_model(Path(name) / "model")
        for number, case in enumerate(CASES):
            folder = Path(name) / str(number)
            folder.mkdir()
            code, printed = answer(case, folder, model)
            lines += [entry(case, code, printed)]
    return "\n".join(lines)


def entry(case: Case, code: int, printed: str) -> str:
    """What the page says of a case."""
    lines = [f"**{case.name}** — `fewtag {case.command}`, exit {code}", "", "```", *relevant(printed, case.says), "```", ""]
    return "\n".join(lines).replace("{model}", "MODEL")


def relevant(printed: str, says: str) -> list[str]:
    """The lines around the message: the table above it left out."""
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    hits = [index for index, line in enumerate(lines) if says.strip("\n") in line]
    first = hits[0] if hits else 0
    heading = first > 0 and lines[first - 1].endswith(":")
    return [line[:220] for line in lines[first - heading : first + 1]]


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
