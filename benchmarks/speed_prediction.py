"""How fast tagging is, text in and entities out, beside ``pipeline("token-classification")`` at each of its batch sizes.

    python benchmarks/speed_prediction.py --threads 1 -o benchmarks/results/speed-prediction.json
    python benchmarks/speed_prediction.py --device cuda -o benchmarks/results/speed-prediction-gpu.json

A MiniLM tagger is trained for a minute on made queries, saved, and loaded by both sides from the same folder. Also: whether bfloat16 says
the same tags as float32, over all tokens and over those whose best tag leads by more than half a logit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

import fewtag
from alternate import alternate
from fewtag.encoders import build_encoder
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.seeding import Key
from fewtag.methods.supervised import supervised_step
from fewtag.tagger.allocator import keep_pages
from fewtag.tagger.folder import save
from fewtag.tagger.precision import has_bf16
from fewtag.tagger.tagger import Tagger
from fewtag.text.tags import TagSet
from material import encoder_folder, machine, texts
from speed_training import peak

SETTINGS = [("short", 400), ("sentences", 128)]
PIPELINE_BATCHES = (1, 8, 32)
GPU_SETTINGS = [("short", 4000), ("sentences", 1600)]
GPU_PIPELINE_BATCHES = (1, 32, 256)


def main() -> None:
    """Measure both kinds of text and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--steps", type=int, default=300, help="of training the tagger that is measured")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/bench/speed-prediction.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_pages()
    device = torch.device(options.device)
    fast, counted = has_bf16(device), "cpu" if device.type == "cpu" else "wall"
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        save(trained(options.steps), folder, card="")
        for kind, count in SETTINGS if device.type == "cpu" else GPU_SETTINGS:
            given = [" ".join(s.tokens) for s in texts(kind, count, seed=1)]
            row = {
                "name": f"minilm {kind}",
                "texts": count,
                **alternate(sides(folder, given, fast, device), options.rounds, "pipeline, batch 1"),
            }
            best = min((each[counted], name) for name, each in row.items() if name.startswith("pipeline"))
            ours = row["ours, bf16" if fast else "ours, fp32"]
            row["against_the_best_pipeline"] = {"which": best[1], "ratio": best[0] / ours[counted]}
            row["share_of_peak"] = flops(folder, given) / ours[counted] / peak(torch.bfloat16 if fast else torch.float32, device)
            rows.append(row)
            print(kind, row["against_the_best_pipeline"], file=sys.stderr, flush=True)
        same = agreement(folder, device)
    on = "" if device.type == "cpu" else f" --device {device.type}"
    command = f"python benchmarks/speed_prediction.py --threads {options.threads} --rounds {options.rounds} --steps {options.steps}{on}"
    missing = "" if fast else "the time of bfloat16 was not measured: this processor has neither AVX-512 BF16 nor AMX"
    result = {
        "command": command,
        "threads": options.threads,
        "device": device.type,
        "note": missing,
        "rows": rows,
        "bf16_against_fp32": same,
        "machine": machine(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def trained(steps: int) -> Tagger:
    """A MiniLM tagger that has learned something from made queries and sentences."""
    some = [*texts("short", 2000), *texts("sentences", 200)]
    torch.manual_seed(0)
    learner = Learner("student", Tagger(build_encoder(encoder_folder("minilm")), TagSet.from_sentences(some)), LearnerConfig())
    step, batcher = supervised_step(learner, 0.0), learner.tagger.batcher
    for number in range(steps):
        chosen = np.random.default_rng(number).choice(len(some), 16, replace=False)
        step(batcher.batch([some[i] for i in chosen], labeled=True), None, Key(0, "bench", number))
    with learner.settled() as tagger:
        return tagger


def sides(folder: Path, given: list[str], fast: bool, device: torch.device) -> dict[str, Callable[[], None]]:
    """The pipeline at each batch size, and ours."""
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    result: dict[str, Callable[[], None]] = {}
    for size in PIPELINE_BATCHES if device.type == "cpu" else GPU_PIPELINE_BATCHES:
        tag: Any = pipeline(
            "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="first", batch_size=size, device=device
        )
        result[f"pipeline, batch {size}"] = lambda tag=tag: sum(len(each) for each in tag(given)) and None
    for name, bf16 in (("ours, fp32", False), *([("ours, bf16", True)] if fast else [])):
        predictor = fewtag.load(folder, device=str(device))
        tagger: Any = predictor.tagger
        tagger.encoder.bf16 = bf16
        result[name] = lambda predictor=predictor: [d.to_json() for d in predictor.stream(given, "en")] and None
    return result


def flops(folder: Path, given: list[str]) -> float:
    """Of one pass over the texts: every matrix product on real tokens, nothing else."""
    config = AutoModelForTokenClassification.from_pretrained(folder).config
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lengths = np.array([len(tokenizer(text)["input_ids"]) for text in given], dtype=np.float64)
    width, layers, inner = config.hidden_size, config.num_hidden_layers, config.intermediate_size
    linear = 2 * layers * (4 * width * width + 2 * width * inner)
    return float(linear * lengths.sum() + 4 * layers * width * (lengths**2).sum())


def agreement(folder: Path, device: torch.device) -> dict[str, float]:
    """How many of the tokens get the same best tag in bfloat16 as in float32."""
    sentences = [*texts("short", 600, seed=2), *texts("sentences", 150, seed=2)]
    logits = []
    for bf16 in (False, True):
        tagger: Any = fewtag.load(folder, device=str(device)).tagger
        tagger.encoder.bf16 = bf16
        logits.append(np.concatenate(tagger.logits(sentences)))
    full, low = logits
    top = np.sort(full, axis=1)
    same, clear = full.argmax(1) == low.argmax(1), top[:, -1] - top[:, -2] > 0.5
    return {
        "tokens": len(same),
        "same_percent": 100 * float(same.mean()),
        "clear_tokens": int(clear.sum()),
        "same_where_clear_percent": 100 * float(same[clear].mean()),
        "mean_logit_error": float(np.abs(full - low).mean()),
    }


if __name__ == "__main__":
    main()
