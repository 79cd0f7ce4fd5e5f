"""The tagger: an encoder and a linear head. The thing we train, save and serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewtag.encoders.encoder import Encoder, Inputs
from fewtag.tagger.batch import Batch, Batcher
from fewtag.tagger.decode import Prediction, decode
from fewtag.text.sentence import Sentence
from fewtag.text.tags import TagSet

Noise = Callable[[Tensor, Inputs], Tensor]
_HEAD_INIT = 0.01  # paper section 5: weights uniform in (-0.01, 0.01), read as the new head's (ambiguity A21)


class Tagger(nn.Module):
    """Logits per token.

    Args:
        encoder: sub-words to vectors.
        tag_set: the C tags.
        languages: the languages it was or will be trained on; informative.
        decoding: ``"viterbi"`` or ``"greedy"``.
        dropout: on the token vectors before the head, in training.
    """

    def __init__(
        self,
        encoder: Encoder,
        tag_set: TagSet,
        *,
        languages: Sequence[str] = (),
        decoding: str = "viterbi",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, len(tag_set))
        self.tag_set = tag_set
        self.languages = tuple(languages)
        self.decoding = decoding
        self.dropout = dropout
        self.batcher = Batcher(encoder, tag_set)
        nn.init.uniform_(self.head.weight, -_HEAD_INIT, _HEAD_INIT)
        nn.init.zeros_(self.head.bias)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def forward(self, batch: Batch, noise: Noise | None = None) -> Tensor:
        """logits_BTC of a batch.

        Args:
            batch: B rows of T tokens.
            noise: changes the embeddings before the first layer (virtual data augmentation, paper 3.3).
        """
        embeddings_BLD = self.encoder.embed(batch.inputs)
        if noise is not None:
            embeddings_BLD = noise(embeddings_BLD, batch.inputs)
        return self.tag(self.encoder.encode(embeddings_BLD, batch.inputs), batch, self.training)

    def tag(self, vectors_BLD: Tensor, batch: Batch, dropout: bool) -> Tensor:
        """logits_BTC from the encoder's vectors: those of each token's first unit, through the head.

        Args:
            vectors_BLD: of the batch.
            batch: B rows of T tokens.
            dropout: before the head.
        """
        first_BTD = batch.inputs.first_BT.unsqueeze(-1).expand(-1, -1, vectors_BLD.shape[-1])
        tokens_BTD = torch.gather(vectors_BLD, 1, first_BTD)
        return cast(Tensor, self.head(F.dropout(tokens_BTD, self.dropout, dropout)))

    def logits(self, sentences: Sequence[Sentence], *, batch_tokens: int = 4096) -> list[np.ndarray]:
        """(T, C) float32 logits of each sentence, in evaluation mode, windows put together again.

        Args:
            sentences: any number; order is kept.
            batch_tokens: padded positions per batch, at most.
        """
        return self._run(sentences, batch_tokens)[0]

    @torch.inference_mode()
    def _run(self, sentences: Sequence[Sentence], batch_tokens: int) -> tuple[list[np.ndarray], list[int]]:
        """Logits and the number of windows of each sentence."""
        was_training = self.training
        self.eval()
        result = [np.zeros((len(s), len(self.tag_set)), dtype=np.float32) for s in sentences]
        windows = [0] * len(sentences)
        try:
            for batch in self.batcher.batches(sentences, batch_tokens):
                logits_BTC = self(batch.to(self.device)).float().cpu().numpy()
                for row, w in enumerate(batch.windows):
                    result[w.sentence][w.keep_start : w.keep_end] = logits_BTC[row, w.keep_start - w.start : w.keep_end - w.start]
                    windows[w.sentence] += 1
        finally:
            self.train(was_training)
        return result, windows

    def predict(self, sentences: Sequence[Sentence], *, batch_tokens: int = 4096) -> list[Prediction]:
        """Tags, spans and confidences of each sentence, in the order given.

        Args:
            sentences: any number, any length; a sentence without tokens gives an empty prediction.
            batch_tokens: padded positions per batch, at most.
        """
        logits, windows = self._run(sentences, batch_tokens)
        return decode(sentences, logits, self.tag_set, self.decoding, windows)
