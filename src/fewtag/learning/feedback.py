"""The student's feedback: what the teacher is told of its pseudo-labels. Sign and scale live here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor

from fewtag.config import Config, Share
from fewtag.learning.gradient import Gradient
from fewtag.learning.learner import Learner
from fewtag.learning.losses import Term, only, precise
from fewtag.learning.parallel import over_ranks
from fewtag.learning.pseudo_labels import PseudoLabels
from fewtag.learning.seeding import Key
from fewtag.learning.standing import Standing
from fewtag.tagger.batch import Batch


class FeedbackConfig(Config):
    """How the student's progress becomes the factor of L_meta.

    ``lambda = L_after - L_before`` (paper 3.3). As printed the factor is lambda; the policy gradient of the student's loss after its
    update is the opposite sign (ambiguity A1, proved by enumeration in the tests). So every kind measures the gain ``-lambda``.
    """

    # difference: L_before - L_after (paper 3.3). product: its first-order part along this step's gradient alone, so that momentum of other
    # batches and languages is left out (A4). cosine: the same without lengths. token: what each tag of each token does, exactly to first
    # order (no sampling, no baseline). constant: 1, the teacher trusts itself; none: 0. The last two are controls.
    kind: Literal["difference", "product", "cosine", "token", "constant", "none"] = "difference"
    permuted: bool = False  # control: the feedback of another step (token: of another token) with the same spread and no information
    sign: Literal["corrected", "printed"] = "corrected"  # A1
    baseline: Literal["per_language", "shared", "none"] = "per_language"  # A7; a token's tags are each other's baseline
    decay: Share = 0.99  # of the baseline's moving mean and spread; Meta Pseudo Labels uses 0.99
    standardize: bool = True  # A8: divide by the moving spread (token: the batch's), so that one weight fits every learning rate
    clip: PositiveFloat = 3.0  # in spreads, where standardized
    # difference: eval looks without dropout (A5), same-mask through one dropout mask before and after, train through two.
    look: Literal["eval", "same-mask", "train"] = "eval"
    reach: PositiveFloat = 0.01  # token: how far the weights are moved to either side to see its effect; DARTS' rule


@dataclass(frozen=True, slots=True)
class Told:
    """What the teacher is told at one step.

    Args:
        change: () lambda, the change of the student's labeled loss, or its first-order estimate.
        factor: h, () for the whole batch or (B, T, C) for each tag of each token; positive means: say this more.
    """

    change: Tensor
    factor: Tensor

    def meta(self, teacher_BTC: Tensor, pseudo: PseudoLabels) -> Tensor:
        """() L_meta (paper 3.3), with a graph to the teacher's clean pass.

        For a factor of the batch ``h * CE(pseudo-labels, teacher)``; for one per tag ``-sum over tags of p * h``, mean over tokens,
        the gradient of the student's labeled loss through soft labels.
        """
        if self.factor.dim() == 0:
            return self.factor * pseudo.against(teacher_BTC).mean
        probs_BTC = only(precise(teacher_BTC), pseudo.mask_BT).softmax(-1)
        per_token_BT = (probs_BTC * only(self.factor, pseudo.mask_BT)).sum(-1)
        return -_mean(per_token_BT if pseudo.weights_BT is None else per_token_BT * pseudo.weights_BT, pseudo.mask_BT)

    def mean(self, pseudo: PseudoLabels) -> Tensor:
        """() the factor, or its mean over the pseudo-labels."""
        return self.factor if self.factor.dim() == 0 else over_ranks(_mean(pseudo.mean_of(self.factor), pseudo.mask_BT))


def _mean(per_token_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return Term(per_token_BT.where(mask_BT, torch.zeros_like(per_token_BT)).sum(), mask_BT.sum()).mean


class Feedback:
    """Listens to the student around its step.

    Args:
        config: kind, sign, baseline and scale.
    """

    def __init__(self, config: FeedbackConfig) -> None:
        self.config = config
        self._standing = Standing(config.decay, config.clip, center=config.baseline != "none", scale=config.standardize)
        self._past: dict[str, Tensor] = {}  # factors by language, for the permuted control

    def before(self, student: Learner, heard: Batch, key: Key) -> Tensor:
        """() L_S,lab at t, where the kind needs it; else nothing is computed.

        Args:
            student: before its step.
            heard: labeled sentences that judge.
            key: of this step.
        """
        if self.config.kind != "difference":
            return heard.token_mask_BT.new_zeros((), dtype=torch.float32)
        return self._look(student, heard, key, "before")

    def _look(self, student: Learner, heard: Batch, key: Key, when: str) -> Tensor:
        if self.config.look == "eval":
            return student.labeled_loss(heard)
        return student.labeled_loss(heard, key, "heard" if self.config.look == "same-mask" else f"heard {when}")

    def after(
        self, student: Learner, heard: Batch, before: Tensor, step: Gradient, unlabeled: Batch, pseudo: PseudoLabels, key: Key
    ) -> Told:
        """What to tell the teacher.

        Args:
            student: after its step.
            heard: the same labeled sentences.
            before: what `before` gave.
            step: the gradient the student took.
            unlabeled: the sentences the pseudo-labels are of.
            pseudo: the teacher's.
            key: of this step, for the permuted control.
        """
        config = self.config
        if config.kind in ("constant", "none"):
            return Told(torch.zeros_like(before), torch.full_like(before, float(config.kind == "constant")))
        if config.kind == "difference":
            return self.of(before - self._look(student, heard, key, "after"), heard.language, key)
        wanted = student.labeled_gradient(heard)  # v
        if config.kind == "token":
            # Raising log p of a tag moves the student along +, its pseudo-labels' part of L_S,lab by this much; D in the tests
            harm_BTC = student.sensitivity(unlabeled, student.preconditioned(wanted), config.reach)
            return self._by_token(-harm_BTC, pseudo, key)
        gone = student.preconditioned(step)  # P g, the step without momentum
        gain = wanted.dot(gone)
        if config.kind == "cosine":
            gain = gain / (wanted.norm() * gone.norm()).clamp(min=torch.finfo(gain.dtype).tiny)
        return self.of(gain, heard.language, key)

    def of(self, gain: Tensor, language: str, key: Key) -> Told:
        """The factor for a whole batch.

        Args:
            gain: () by how much the student's labeled loss fell.
            language: whose baseline to use and move.
            key: of this step.
        """
        config = self.config
        h = gain
        if config.baseline != "none" or config.standardize:
            h = self._standing(gain, "*" if config.baseline == "shared" else language)
        if config.permuted:
            h = self._swapped(h, language, key)
        return Told(-gain, h if config.sign == "corrected" else -h)

    def _by_token(self, gain_BTC: Tensor, pseudo: PseudoLabels, key: Key) -> Told:
        config, mask_BT = self.config, pseudo.mask_BT
        h_BTC = gain_BTC
        if config.standardize:
            # What all tags of a token have in common moves no probability, so it is no part of the spread.
            apart_BTC = (h_BTC - h_BTC.mean(-1, keepdim=True)).where(mask_BT.unsqueeze(-1), h_BTC.new_zeros(()))
            count = over_ranks(mask_BT.sum()).clamp(min=1) * h_BTC.shape[-1]
            spread = (over_ranks(apart_BTC.square().sum()) / count).sqrt()
            h_BTC = (apart_BTC / spread.clamp(min=torch.finfo(spread.dtype).tiny)).clamp(-config.clip, config.clip)
        if config.permuted:
            key.apply("feedback", "permuted")
            places = mask_BT.nonzero()
            other = places[torch.randperm(len(places)).to(places.device)]
            swapped_BTC = h_BTC.clone()
            swapped_BTC[places[:, 0], places[:, 1]] = h_BTC[other[:, 0], other[:, 1]]
            h_BTC = swapped_BTC
        change = -over_ranks(_mean(pseudo.mean_of(gain_BTC), mask_BT))
        return Told(change, h_BTC if config.sign == "corrected" else -h_BTC)

    def _swapped(self, h: Tensor, language: str, key: Key) -> Tensor:
        """A factor of one of the language's last steps, drawn at random; this one joins them."""
        past = self._past.get(language, h.new_zeros(0)).to(h.device)
        self._past[language] = torch.cat([past, h.reshape(1)])[-_REMEMBERED:]
        if not len(past):
            return torch.zeros_like(h)
        key.apply("feedback", "permuted")
        return past[int(torch.randint(len(past), ()))]

    def state(self) -> dict[str, Any]:
        """The moving baselines, and what the control remembers."""
        return {"standing": self._standing.state(), "past": dict(self._past)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`."""
        self._standing.restore(state.get("standing", {}))
        self._past = dict(state.get("past", {}))


_REMEMBERED = 64  # steps of a language: what the permuted control draws from
