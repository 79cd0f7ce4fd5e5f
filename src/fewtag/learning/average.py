"""Averages of weights: over time, the teacher of Mean Teacher (Tarvainen and Valpola, NeurIPS 2017), and over networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from fewtag.learning.learner import Learner
from fewtag.learning.trail import move
from fewtag.tagger.tagger import Tagger


class Blend:
    """The mean of several learners' weights, to be looked at as if it were one: a tagger at the price of one (Wortsman et al., ICML 2022).

    It means something where the learners go back to one start.

    Args:
        name: what it is called.
        learners: at least one, of one shape; read, never changed.
        tagger: of the same shape; holds the mean while it is looked at.
    """

    def __init__(self, name: str, learners: Sequence[Learner], tagger: Tagger) -> None:
        self.name, self._learners, self._tagger = name, learners, tagger

    @contextmanager
    def settled(self) -> Iterator[Tagger]:
        """The tagger with the mean of the weights of now."""
        own = self._tagger.state_dict()
        for number, learner in enumerate(self._learners, 1):
            with learner.settled() as tagger:
                move(own, tagger.state_dict(), 1 / number)
        yield self._tagger


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
        move(average.tagger.state_dict(), tagger.state_dict(), 1 - d)
