"""The made corpus as streams and as a data folder."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from zlib import crc32

from fewtag.data.formats import conll
from fewtag.data.queries.grammar import query
from fewtag.data.queries.lexicon import lexicon
from fewtag.errors import ConfigError
from fewtag.text.sentence import Sentence

# Training queries per language of the paper's private set (Table 3).
SIZES = {
    "en": 256571, "de": 98980, "fr": 79176, "ja": 77457, "es": 63844, "it": 52136,
    "zh": 22467, "nl": 8562, "tr": 5093, "pl": 4489, "pt": 4467, "cs": 4430,
}  # fmt: skip
LANGUAGES = tuple(SIZES)
SPLITS = ("train", "dev", "test")
_HELD_OUT_SHARE = 0.055  # dev and test, each relative to train (Table 3)
_HELD_OUT_MIN, _HELD_OUT_MAX = 100, 1500  # ours: a score per language needs some spans; more than this costs time only
_BLOCK = 1000


def generate(language: str, split: str = "train", seed: int = 0) -> Iterator[Sentence]:
    """Tagged queries without end; no query of one split has the text of a query of another.

    Args:
        language: one of ``LANGUAGES``.
        split: ``train``, ``dev`` or ``test``.
        seed: another seed is another corpus.

    Raises:
        ConfigError: for an unknown language or split.
    """
    if language not in SIZES:
        raise ConfigError(f"the made corpus has no language {language!r}; it has {', '.join(LANGUAGES)}")
    if split not in SPLITS:
        raise ConfigError(f"the made corpus has no split {split!r}; it has {', '.join(SPLITS)}")
    words, number = lexicon(language), 0
    for block in count():
        chance = random.Random(f"{seed}/{language}/{split}/{block}")
        for _ in range(_BLOCK):
            sentence = query(words, chance)
            # The text alone decides which split it may be in: 1/8 test, 1/8 dev, the rest train.
            share = crc32((sentence.text or "").lower().encode()) % 8
            if (split == "test") != (share == 0) or (split == "dev") != (share == 1):
                continue
            yield replace(sentence, id=f"{language}-{split}-{number}")
            number += 1


def raw_queries(language: str, seed: int = 0) -> Iterator[str]:
    """Texts of training queries without end: raw text for prediction and for pools of any size."""
    return (sentence.text or "" for sentence in generate(language, "train", seed))


def sizes_at(scale: float) -> dict[str, dict[str, int]]:
    """Language -> split -> queries, for a corpus of ``scale`` times the paper's size."""
    held_out = {lang: min(_HELD_OUT_MAX, max(_HELD_OUT_MIN, round(size * scale * _HELD_OUT_SHARE))) for lang, size in SIZES.items()}
    return {lang: {"train": max(1, round(size * scale)), "dev": held_out[lang], "test": held_out[lang]} for lang, size in SIZES.items()}


def write_corpus(folder: Path, seed: int = 0, scale: float = 0.1) -> None:
    """Write the corpus as a data folder, ``<language>/{train,dev,test}.conll``, in memory of one query at a time.

    Args:
        folder: is made when missing; files of these names are replaced.
        seed: of every draw.
        scale: of the training sizes.

    Raises:
        ConfigError: when the scale is not positive.
    """
    if not scale > 0:
        raise ConfigError(f"scale {scale} must be above 0; 1 is the paper's size, 678,000 queries")
    for language, splits in sizes_at(scale).items():
        for split, size in splits.items():
            conll.write(islice(generate(language, split, seed), size), folder / language / f"{split}.conll")
