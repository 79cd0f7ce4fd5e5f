"""How a learner learns: Adam, clipping, what learns when, and which weights others get to see."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from fewtag.config import Config

Beta = Annotated[float, Field(ge=0, lt=1)]
Beta2 = Annotated[float, Field(gt=0, lt=1)]  # with 0, and with an epsilon of 0, a weight that has never had a gradient is divided by 0


class LearnerConfig(Config):
    """Adam and clipping (paper section 5; ambiguities A20 and A28)."""

    lr: PositiveFloat | Literal["auto"] = "auto"  # auto: what the encoder is usually trained with
    head_lr: PositiveFloat | Literal["auto", "same"] = "auto"  # ten times the encoder's helps a pre-trained one
    betas: tuple[Beta, Beta2] = (0.9, 0.999)  # Kingma and Ba 2015
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0  # A28: plain Adam
    clip_norm: Literal[1, 2] = 2  # A20: the printed text clips the 1-norm
    clip_threshold: PositiveFloat = 1.0  # a norm above this ...
    clip_target: PositiveFloat = 1.0  # ... is rescaled to this
    head_first: NonNegativeInt = 0  # steps at the start of a stage in which only the head learns (linear probing first, Kumar et al. 2022)
    # Decay of a moving average of the weights, which is then what others get to see: evaluation, copies, who gets the tagger.
    # 0: none, as in the paper; LOG.md 2026-11-26 has what it brings.
    average: float = Field(default=0.0, ge=0, lt=1)
    # The vocabulary table: lazy is Adam computed only for rows that are read, dense computes every row at every step, frozen never changes
    # it. auto: lazy on a CPU, dense elsewhere (where finding the distinct rows would make the device wait).
    embeddings: Literal["auto", "lazy", "dense", "frozen"] = "auto"
