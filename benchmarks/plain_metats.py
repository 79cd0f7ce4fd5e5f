"""MetaTS as one would write it on transformers' modules: eight forward passes a step, every batch padded to its longest, fused AdamW.

The measure of `speed_training.py`; its results are not used for anything.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Features = dict[str, Tensor]


class PlainMetaTS:
    """Teacher and student, each a ``AutoModelForTokenClassification``.

    Args:
        teacher, student: the models.
        autocast: run the passes under autocast to bfloat16.
        noise_variance, temperature, threshold, smoothing: paper Table 2 and section 5.
    """

    def __init__(
        self,
        teacher: Any,
        student: Any,
        autocast: bool,
        noise_variance: float = 0.01,
        temperature: float = 0.7,
        threshold: float = 0.6,
        smoothing: float = 0.15,
    ) -> None:
        self.teacher, self.student, self.autocast = teacher, student, autocast
        self.deviation, self.temperature, self.threshold, self.smoothing = noise_variance**0.5, temperature, threshold, smoothing
        self._teach, self._learn = (torch.optim.AdamW(m.parameters(), lr=5e-5, weight_decay=0.0, fused=True) for m in (teacher, student))

    def _logits(self, model: Any, features: Features, noise: float = 0.0) -> Tensor:
        inputs = {"attention_mask": features["attention_mask"]}
        embeddings = model.get_input_embeddings()(features["input_ids"])
        inputs["inputs_embeds"] = embeddings + noise * torch.randn_like(embeddings) if noise else embeddings
        with torch.autocast(embeddings.device.type, torch.bfloat16, enabled=self.autocast):
            logits: Tensor = model(**inputs).logits
        return logits.float()

    def _loss(self, logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, label_smoothing=smoothing)

    def step(self, labeled: Features, raw: Features) -> None:
        """One step.

        Args:
            labeled: input_ids, attention_mask and labels, -100 where a subword is not a token's first.
            raw: the same; of its labels only the places of -100 are used.
        """
        first = raw["labels"] != -100
        self.teacher.eval()
        with torch.no_grad():
            pseudo = self._logits(self.teacher, raw).argmax(-1).where(first, torch.full_like(raw["labels"], -100))
            self.student.eval()
            before = self._loss(self._logits(self.student, labeled), labeled["labels"])
        self.student.train()
        self._descend(self._learn, self.student, self._loss(self._logits(self.student, raw), pseudo, self.smoothing))
        self.student.eval()
        with torch.no_grad():
            after = self._loss(self._logits(self.student, labeled), labeled["labels"])
        self.teacher.train()
        loss = self._loss(self._logits(self.teacher, labeled), labeled["labels"], self.smoothing)
        self.teacher.eval()
        with torch.no_grad():
            clean = self._logits(self.teacher, raw)
        self.teacher.train()
        noised = self._logits(self.teacher, raw, self.deviation).log_softmax(-1)
        keep = first & (clean.softmax(-1).amax(-1) > self.threshold)
        agreement = -((clean / self.temperature).softmax(-1) * noised).sum(-1)
        loss = loss + agreement.where(keep, 0.0 * agreement).sum() / first.sum()
        self.teacher.eval()
        loss = loss + (before - after) * self._loss(self._logits(self.teacher, raw), pseudo)
        self._descend(self._teach, self.teacher, loss)

    def _descend(self, optimizer: torch.optim.Optimizer, model: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
