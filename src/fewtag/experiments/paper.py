"""The paper's three experiments as presets: Table 2's hyper-parameters, mBERT, every method of Tables 4 to 7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewtag.config import merge, words_of
from fewtag.data.corpus import Corpus
from fewtag.errors import ConfigError, unknown
from fewtag.experiments.plan import check_encoder
from fewtag.experiments.published import published, published_ablations
from fewtag.methods import row

ENCODER = "bert-base-multilingual-cased"  # paper section 5
SEEDS = 5  # A34: the paper does not say how many its t-test is over
FRACTIONS = ("10%", "20%", "30%", "40%", "50%")  # Figure 2
CURVE_METHODS = ("supervised-multi", "mean-teacher-mse", "bond-soft-high", "metats-paper")  # Figure 2
OURS = "metats-paper"


@dataclass(frozen=True, slots=True)
class Preset:
    """One experiment of the paper.

    Args:
        name: as on the command line.
        batch_size, lr, noise_variance: Table 2.
        figure: whether Figure 2 is on this data set.
    """

    name: str
    batch_size: int
    lr: float
    noise_variance: float
    figure: bool = False

    @property
    def labeled(self) -> str:
        """Section 4.2: the fraction of Tables 4 to 6."""
        return published(self.name).labeled

    @property
    def languages(self) -> list[str]:
        """Of the paper's table."""
        return list(published(self.name).rows[0].f1)

    @property
    def settings(self) -> dict[str, Any]:
        """Configuration of every run."""
        return {
            "data": {"dev": "full"},  # A31: as the paper stops early
            # One rate and one decoding for every row: the paper names one rate, and its taggers take the most probable tag of each token.
            "train": {"batch_size": self.batch_size, "lr": self.lr, "head_lr": "same"},
            "tagger": {"max_length": 128, "decoding": "greedy"},  # section 5
            "method": {"noise_variance": self.noise_variance, "temperature": 0.7, "threshold": 0.6, "label_smoothing": 0.15},
        }

    def methods(self) -> list[str]:
        """Every row of its table and of Table 7, and ours as corrected, in the order of the paper."""
        rows = [row.method for row in published(self.name).rows]
        ablations = [method for method in published_ablations() if method not in rows]
        bound = rows.index("supervised-full")
        return [*rows[:bound], "metats", *rows[bound:], *ablations]


# Table 2; its "1-5" is read as 1e-5 (A29)
PRESETS = {
    preset.name: preset
    for preset in (
        Preset("o-ner", batch_size=8, lr=1e-5, noise_variance=0.01),
        Preset("e2e-absa", batch_size=8, lr=1e-5, noise_variance=0.001, figure=True),
        Preset("e-ner", batch_size=64, lr=5e-5, noise_variance=0.01),
    )
}


def preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        ConfigError: for an unknown name, with the nearest.
    """
    if name not in PRESETS:
        raise ConfigError(unknown("experiment of the paper", name, PRESETS))
    return PRESETS[name]


def options_of(
    name: str,
    data: Path,
    *,
    encoder: str = ENCODER,
    methods: Sequence[str] = (),
    labeled: Sequence[str] = (),
    curve: bool = False,
    settings: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """What `fewtag.experiments.comparison.compare` is called with for one of the paper's experiments.

    Args:
        name: of the preset.
        data: the data folder.
        encoder: another one than the paper's.
        methods: other ones than the paper's.
        labeled: other fractions than the paper's.
        curve: Figure 2 instead of the table: its methods and fractions.
        settings: on top of the preset's.

    Returns:
        The keyword arguments, and what differs from the paper, in words.

    Raises:
        ConfigError: for an unknown preset, or a curve of a preset without one.
        DataError: when the folder has none of the paper's languages.
        SetupError: when the encoder cannot be had.
    """
    found = preset(name)
    if curve and not found.figure:
        with_figure = ", ".join(each.name for each in PRESETS.values() if each.figure)
        raise ConfigError(f"Figure 2 of the paper is on {with_figure} alone; for {name} give the fractions yourself: --labeled 1%,5%,10%")
    chosen = list(methods) or (list(CURVE_METHODS) if curve else found.methods())
    fractions = list(labeled) or (list(FRACTIONS) if curve else [found.labeled])
    notes = []
    chosen_languages = (settings or {}).get("data", {}).get("languages", ())
    wanted = words_of(chosen_languages) if isinstance(chosen_languages, str) else list(chosen_languages)
    there = wanted or Corpus.from_dir(data, arrays=True).languages
    missing, more = [x for x in found.languages if x not in there], [x for x in there if x not in found.languages]
    if missing or more:
        words = [f"{what} {', '.join(some)}" for what, some in (("without", missing), ("with", more)) if some]
        what = "the run" if wanted else str(data)
        notes.append(f"{what} is {' and '.join(words)}: averages cannot stand beside those of the paper")
    if encoder != ENCODER:
        notes.append(f"the encoder is {encoder}, not {ENCODER}")
    if methods and not curve:
        notes.append(f"not every method of the paper takes part: {', '.join(chosen)}")
    if labeled:
        notes.append(f"labels kept: {', '.join(labeled)}, not {', '.join(FRACTIONS if curve else [found.labeled])}")
    if settings:
        notes.append("settings other than the paper's were given")
    check_encoder(encoder)
    known = {key for name in chosen for key in row(name).config.model_fields}
    own = found.settings
    own["method"] = {key: value for key, value in own["method"].items() if key in known}  # what no chosen method has sets nothing
    options = {
        "methods": chosen,
        "labeled": fractions,
        "encoders": [encoder],
        "ours": OURS if OURS in chosen else None,
        "published_as": name,
        "settings": merge(own, settings or {}),
    }
    return options, notes
