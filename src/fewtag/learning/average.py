"""The exponential moving average of a tagger's weights: the teacher of Mean Teacher (Tarvainen and Valpola, NeurIPS 2017)."""

from __future__ import annotations

import torch

from fewtag.learning.learner import Learner


@torch.no_grad()
def follow(average: Learner, student: Learner, step: int, decay: float) -> None:
    """Move the average towards the student: ``average = d * average + (1 - d) * student``, ``d = min(1 - 1 / (step + 2), decay)``.

    The rising start makes the average of the first steps their plain mean, so that the copy it began as does not linger
    (Mean Teacher's own code).

    Args:
        average: another tagger of the same shape; changed.
        student: after its step number ``step``, from 0.
        step: steps the average has seen before.
        decay: where ``d`` stops rising.
    """
    d = min(1 - 1 / (step + 2), decay)
    with student.settled() as tagger:
        source = tagger.state_dict()
        for name, value in average.tagger.state_dict().items():
            if value.is_floating_point():
                value.lerp_(source[name], 1 - d)
            else:  # counters, where an encoder has any
                value.copy_(source[name])
