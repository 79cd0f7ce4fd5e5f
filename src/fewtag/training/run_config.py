"""The configuration of a run: what ``fewtag.toml`` holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from fewtag.config import Config, Text, Words
from fewtag.learning.learner_config import LearnerConfig
from fewtag.methods.method import Budget
from fewtag.methods.pretraining import PretrainingConfig

Auto = Literal["auto"]

# The key under train that says how many steps the stages of an effort take
STEPS = {"supervised": "max_steps", "semi_supervised": "semi_supervised_steps", "finetune": "finetune_steps"}


class DataConfig(Config):
    """Which sentences take part."""

    dir: str = "data"
    languages: Words = ()  # empty: all
    labeled: Text = "100%"  # of train, per language: "1%", "200", "5shot", "en=200 20"; the rest loses its tags (paper 4.2)
    unlabeled: Text = "100%"  # of each language's raw text, what is left of train included: "10%", "5000", "en=5000 500"
    dev: Literal["full", "matched"] = "full"  # A31: the paper stops early on the whole dev set
    seed: int | None = None  # of the sample; None: the run's seed


class TaggerConfig(Config):
    """What is trained."""

    encoder: str = "compact"  # or a folder, or the name of a Hugging Face encoder
    max_length: int | None = None  # positions per window; None: what the encoder takes (paper section 5: 128)
    decoding: Literal["auto", "viterbi", "greedy"] = "auto"  # auto: the method's
    dropout: float = Field(default=0.1, ge=0, lt=1)  # before the head
    precision: Literal["auto", "bf16", "fp32"] = "auto"  # of the encoder's matrix products; auto: bf16 where it is fast


class TrainConfig(LearnerConfig):
    """Optimizer, budgets, seed."""

    seed: int = 13
    batch_size: int = Field(default=8, ge=1)  # labeled sentences a step (Table 2; A27)
    unlabeled_batch_size: PositiveInt | None = None  # None: twice batch_size for metats, as batch_size for metats-paper (A27)
    max_steps: PositiveInt | Auto = "auto"  # supervised stages; auto: 100 passes over the labeled sentences, between 600 and 4000
    semi_supervised_steps: PositiveInt | Auto = "auto"  # teacher-student stage; auto: 1500
    finetune_steps: PositiveInt | Auto = "auto"  # auto: 600
    evaluate_every: PositiveInt | Auto = "auto"  # auto: 100, and 50 in the fine-tuning
    patience: int = Field(default=6, ge=1)  # evaluations without a better dev score
    guard: bool | Literal["auto", "clear"] = "auto"  # deliver the best on dev of final tagger, supervised start and teacher; clear: another
    # than the final one only where its lead is no chance; auto: as the method's row says
    start: str = ""  # a finished run on the same labeled sentences whose tagger takes the place of the first, supervised stage
    passes: PositiveInt | None = None  # encoder passes a run takes, in place of steps and patience: for comparisons at equal cost
    max_time: Text = ""  # "2h", "30m", "90s"; empty: no limit
    checkpoint_seconds: float = 60.0
    trace_every: NonNegativeInt = 10  # steps between those whose pseudo-labels are kept in pseudo.jsonl; 0: none
    threads: PositiveInt | Auto = "auto"  # auto: the cores this process was granted, one for compact; fewer where OMP_NUM_THREADS says so
    device: str = "auto"

    def learner(self) -> LearnerConfig:
        """The part that concerns the optimizer."""
        return LearnerConfig(**{name: getattr(self, name) for name in LearnerConfig.model_fields})

    def budget(self, effort: str, num_labeled: int) -> Budget:
        """Steps, evaluation interval and patience of a stage.

        Args:
            effort: the stage's entry.
            num_labeled: labeled sentences of all languages.
        """
        passes = 100 * num_labeled // self.batch_size  # short training is a known cause of weak baselines on few labels
        automatic = {"supervised": max(600, min(4000, passes)), "semi_supervised": 1500, "finetune": 600}[effort]
        chosen = getattr(self, STEPS[effort])
        every = {"finetune": 50}.get(effort, 100) if self.evaluate_every == "auto" else self.evaluate_every
        return Budget(automatic if chosen == "auto" else chosen, every, self.patience)


class SamplingConfig(Config):
    """How languages are drawn."""

    exponent: float = Field(default=0.5, ge=0)  # A23: in proportion to n^exponent; 1 = by size, 0 = equally
    # By language, of its share of the steps on raw text: 1 where none is given, 0 leaves it out.
    raw_weights: dict[str, NonNegativeFloat] = Field(default_factory=dict)


class EvaluationConfig(Config):
    """How taggers are scored."""

    mode: Literal["lenient", "strict"] = "lenient"  # conlleval's reading, the field's custom
    bootstrap: int = Field(default=1000, ge=0)  # resamples of sentences for the intervals; 0: none


class RunConfig(Config):
    """Everything a run depends on."""

    version: Literal[1] = 1
    data: DataConfig = DataConfig()
    tagger: TaggerConfig = TaggerConfig()
    method: dict[str, Any] = Field(default_factory=lambda: {"name": "auto"})  # name and the keys of its own configuration
    pretraining: PretrainingConfig = PretrainingConfig()
    train: TrainConfig = TrainConfig()
    sampling: SamplingConfig = SamplingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @property
    def data_dir(self) -> Path:
        """The data folder as a path."""
        return Path(self.data.dir)
