"""How fast training is, beside what people use: the Hugging Face Trainer, and a MetaTS step on transformers' modules.

    python benchmarks/speed_training.py --threads 1 -o benchmarks/results/speed-training.json
    python benchmarks/speed_training.py --device cuda -o benchmarks/results/speed-training-gpu.json

Both sides start from the same weights and see the same texts with the same dropout, in turn, in one process. A ratio is their seconds over
ours, round by round. bfloat16 is measured where the processor has it; elsewhere its rows say why they are missing. On a GPU the rounds are
longer, the clock is the wall's, and a round ends when the GPU has done what it was given.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from alternate import Timed, alternate, clock, since
from fewtag.encoders import build_encoder
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.methods.supervised import supervised_step
from fewtag.tagger.allocator import keep_pages
from fewtag.tagger.precision import has_bf16
from fewtag.tagger.tagger import Tagger
from fewtag.text.sentence import Sentence
from fewtag.text.tags import TagSet
from material import encoder_folder, machine, texts
from plain_metats import PlainMetaTS

BASE = "theirs, fp32"
SUPERVISED = [("minilm", "short", 8, 24), ("minilm", "sentences", 32, 4), ("mbert", "short", 8, 3), ("mbert", "sentences", 8, 2)]
METATS = [("minilm", "short", 8, 6), ("minilm", "sentences", 8, 4), ("mbert", "short", 8, 2)]
LONGER = 8  # times as many steps a round on a GPU


def main() -> None:
    """Measure every setting and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--only", default="", help="part of a row's name, e.g. 'minilm short'")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/bench/speed-training.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_pages()
    device = torch.device(options.device)
    fast, counted = has_bf16(device), "cpu" if device.type == "cpu" else "wall"
    rows: list[dict[str, Any]] = []
    for kind, settings in (("supervised", SUPERVISED), ("metats", METATS)):
        for encoder, texts_kind, batch, steps in settings:
            name = f"{kind} {encoder} {texts_kind} batch {batch}"
            if options.only not in name:
                continue
            setting = Setting(encoder, texts_kind, batch, steps * (1 if device.type == "cpu" else LONGER), device)
            row: dict[str, Any] = {"name": name, "tokens_a_step": setting.subwords / setting.steps}
            for together in setting.groups(kind, fast):
                sides = {side: setting.side(kind, side) for side in together}
                row = {**alternate(sides, options.rounds, BASE), **row}
                del sides
                gc.collect()
            row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            if kind == "supervised":
                ours = "ours, bf16" if fast else "ours, fp32"
                row["share_of_peak"] = setting.flops() / row[ours][counted] / peak(torch.bfloat16 if fast else torch.float32, device)
            rows.append(row)
            told = {side: round(each[f"{counted}_ratio"]["median"], 2) for side, each in row.items() if isinstance(each, dict)}
            print(name, told, file=sys.stderr, flush=True)
            write(options, fast, rows)


def write(options: argparse.Namespace, fast: bool, rows: list[dict[str, Any]]) -> None:
    """The JSON as far as it goes."""
    on = "" if options.device == "cpu" else f" --device {options.device}"
    command = f"python benchmarks/speed_training.py --threads {options.threads} --rounds {options.rounds}{on}"
    missing = "" if fast else "bfloat16 was not measured: this processor has neither AVX-512 BF16 nor AMX"
    result = {"command": command, "threads": options.threads, "device": options.device, "note": missing, "rows": rows, "machine": machine()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


class Setting:
    """One encoder, one kind of text, one batch size; makes the sides that compete on it.

    Args:
        encoder: ``minilm`` or ``mbert``.
        kind: of the texts.
        batch: sentences.
        steps: of one round.
        device: where both sides run.
    """

    def __init__(self, encoder: str, kind: str, batch: int, steps: int, device: torch.device) -> None:
        self.device = device
        self.folder, self.batch, self.steps = encoder_folder(encoder), batch, steps
        self.sentences = texts(kind, batch * steps)
        self.tag_set = TagSet.from_sentences(self.sentences)
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)
        self.features = [self._features(s) for s in self.sentences]
        self.subwords = sum(len(f["input_ids"]) for f in self.features)

    def _features(self, sentence: Sentence) -> dict[str, list[int]]:
        encoded = self.tokenizer(list(sentence.tokens), is_split_into_words=True)
        words = encoded.word_ids()
        firsts = [w is not None and (i == 0 or words[i - 1] != w) for i, w in enumerate(words)]
        labels = [self.tag_set.id_of[(sentence.tags or ())[w]] if f else -100 for w, f in zip(words, firsts, strict=True)]
        return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"], "labels": labels}

    def _model(self) -> Any:
        torch.manual_seed(0)
        return AutoModelForTokenClassification.from_pretrained(self.folder, num_labels=len(self.tag_set), dtype=torch.float32).to(
            self.device
        )

    def _tagger(self, bf16: bool) -> Tagger:
        torch.manual_seed(0)
        tagger = Tagger(build_encoder(self.folder), self.tag_set).to(self.device)
        tagger.encoder.bf16 = bf16
        return tagger

    def flops(self) -> float:
        """Of a round of supervised training: forward and backward of every matrix product on real tokens, nothing else."""
        config = self._model().config
        width, layers, inner = config.hidden_size, config.num_hidden_layers, config.intermediate_size
        linear = 2 * layers * (4 * width * width + 2 * width * inner)
        attention = sum(4 * layers * width * len(f["input_ids"]) ** 2 for f in self.features)
        return 3.0 * (linear * self.subwords + attention)

    def groups(self, kind: str, fast: bool) -> list[list[str]]:
        """Which sides take turns. All of them, where their weights, gradients and moments fit into memory side by side."""
        others = ["ours, fp32", *(["theirs, bf16", "ours, bf16"] if fast else [])]
        large = kind == "metats" and self._model().num_parameters() > 1e8
        return [[BASE, other] for other in others] if large else [[BASE, *others]]

    def side(self, kind: str, name: str) -> Callable[[], Timed | None]:
        """One that competes: the Trainer against our supervised step, or the plain MetaTS step against ours.

        In MetaTS each batch serves once as labels and once as raw text of the batch before.
        """
        bf16 = name.endswith("bf16")
        if name.startswith("theirs"):
            return self._trainer(bf16) if kind == "supervised" else self._waited(self._plain(bf16))
        return self._waited(self._supervised(bf16) if kind == "supervised" else self._metats(bf16))

    def _waited(self, work: Callable[[], Timed | None]) -> Callable[[], Timed | None]:
        """The same, ending when the device has ended."""
        if self.device.type == "cpu":
            return work

        def waited() -> Timed | None:
            own = work()
            torch.cuda.synchronize()
            return own

        return waited

    def _trainer(self, bf16: bool) -> Callable[[], Timed | None]:
        watch = Watch(self.device)
        arguments = TrainingArguments(
            output_dir=tempfile.mkdtemp(), per_device_train_batch_size=self.batch, num_train_epochs=1, bf16=bf16,
            use_cpu=self.device.type == "cpu", report_to=[], save_strategy="no", disable_tqdm=True, logging_strategy="no",
        )  # fmt: skip
        trainer = Trainer(
            self._model(), arguments, DataCollatorForTokenClassification(self.tokenizer), train_dataset=self.features, callbacks=[watch]
        )
        return lambda: (trainer.train(), watch.passed)[1]

    def _supervised(self, bf16: bool) -> Callable[[], Timed | None]:
        learner = Learner("student", self._tagger(bf16), LearnerConfig())
        step, batcher = supervised_step(learner, 0.0), learner.tagger.batcher

        def work() -> None:
            for number in range(self.steps):
                some = self.sentences[number * self.batch : (number + 1) * self.batch]
                step(batcher.batch(some, labeled=True).to(self.device), None, Key(0, "bench", number))

        return work

    def _plain(self, bf16: bool) -> Callable[[], Timed | None]:
        plain, collate = PlainMetaTS(self._model(), self._model(), bf16), DataCollatorForTokenClassification(self.tokenizer)

        def work() -> None:
            for number in range(self.steps):
                labeled, raw = (self._part(self.features, n) for n in (number, number + 1))
                plain.step(self._tensors(collate, labeled), self._tensors(collate, raw))

        return work

    def _metats(self, bf16: bool) -> Callable[[], Timed | None]:
        method: Any = METHODS["metats"].method(resolve("metats", {}), lambda role: self._tagger(bf16), LearnerConfig())
        batcher = method.student.tagger.batcher

        def work() -> None:
            for number in range(self.steps):
                labeled, raw = (self._part(self.sentences, n) for n in (number, number + 1))
                known, bare = batcher.batch(labeled, labeled=True), batcher.batch([s.without_tags() for s in raw], labeled=False)
                method.step(known.to(self.device), bare.to(self.device), Key(0, "bench", number))

        return work

    def _part(self, items: list[Any], number: int) -> list[Any]:
        start = number % self.steps * self.batch
        return items[start : start + self.batch]

    def _tensors(self, collate: Any, features: list[dict[str, list[int]]]) -> dict[str, Tensor]:
        return {name: each.to(self.device) for name, each in collate([dict(each) for each in features]).items()}


class Watch(TrainerCallback):
    """Time from the first step's begin to the last step's end: what the Trainer does around its loop is not counted.

    Args:
        device: a GPU is waited for where the loop ends, not at each step.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    begun: Timed | None = None
    passed: Timed | None = None

    def on_train_begin(self, *arguments: Any, **values: Any) -> None:
        """A new round."""
        self.begun = None

    def on_step_begin(self, *arguments: Any, **values: Any) -> None:
        """The first one starts the watch."""
        self.begun = self.begun or clock()

    def on_step_end(self, *arguments: Any, **values: Any) -> None:
        """Each could be the last."""
        assert self.begun is not None
        self.passed = since(self.begun)

    def on_train_end(self, *arguments: Any, **values: Any) -> None:
        """The loop is over; a GPU has work left."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            assert self.begun is not None
            self.passed = since(self.begun)


def peak(dtype: torch.dtype, device: torch.device) -> float:
    """FLOP per CPU second (a GPU: second) of a large matrix product, the best of several."""
    scale = 1 if device.type == "cpu" else 4
    n, k = 2048 * scale, 1024 * scale
    a, b = torch.randn(n, k, dtype=dtype, device=device), torch.randn(k, n, dtype=dtype, device=device)
    best = 0.0
    for _ in range(8):
        begun = clock()
        for _ in range(4):
            a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        passed = since(begun)
        best = max(best, 4 * 2 * n * k * n / (passed.cpu if device.type == "cpu" else passed.wall))
    return best


if __name__ == "__main__":
    main()
