"""The two ways to run a Hugging Face encoder: our packed layers for the BERT family, its own forward for every other architecture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewtag.encoders.encoder import Inputs
from fewtag.encoders.layers import Layers, drop
from fewtag.encoders.layout import Layout, join
from fewtag.errors import SetupError

ATTENTION = "eager"  # on CPUs the fused kernel's backward pass in bfloat16 is several times slower than plain products


class Packed(nn.Module):
    """The model's embedding layer, then our layers on one matrix without padding.

    Args:
        model: the base model; its embedding layer is taken over, its layers are copied.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.embeddings = _embedding_module(model)
        self.layers = Layers(model)
        self._dropout = _take_dropout(self.embeddings)

    def embed(self, inputs: Inputs) -> Tensor:
        """embeddings_BLD after the LayerNorm, before the dropout."""
        embeddings_BLD: Tensor = self.embeddings(input_ids=inputs.ids)
        return embeddings_BLD

    def encode(self, embeddings_BLD: Tensor, inputs: Inputs, bf16: bool) -> Tensor:
        """vectors_BLD; rows of padding hold a copy of some real position."""
        assert isinstance(inputs.layout, Layout), "packed inputs carry their layout"
        width = embeddings_BLD.shape[-1]
        return self._run(embeddings_BLD.reshape(-1, width), inputs.layout, bf16).view_as(embeddings_BLD)

    def encode_many(self, embeddings: Sequence[Tensor], inputs: Sequence[Inputs], dropout: Sequence[bool], bf16: bool) -> list[Tensor]:
        """vectors_BLD of several batches from one pass; the module's mode must be training when any batch wants dropout."""
        layout = join([each.layout for each in inputs if isinstance(each.layout, Layout)], [not wanted for wanted in dropout])
        flat = [each.reshape(-1, each.shape[-1]) for each in embeddings]
        parts = torch.split(self._run(torch.cat(flat), layout, bf16), [len(each) for each in flat])
        return [part.view_as(each) for part, each in zip(parts, embeddings, strict=True)]

    def _run(self, flat_D: Tensor, layout: Layout, bf16: bool) -> Tensor:
        x_ND = flat_D.index_select(0, layout.source_N)
        x_ND = drop(x_ND.bfloat16() if bf16 else x_ND, self._dropout, self.training, layout.still_N1)
        vectors_ND: Tensor = self.layers(x_ND, layout)
        vectors_ND = vectors_ND.float() if bf16 else vectors_ND
        return vectors_ND.index_select(0, layout.place_BL)

    def hugging_face_state(self) -> dict[str, Tensor]:
        """The weights under the names of the base model."""
        found = {f"embeddings.{name}": value for name, value in self.embeddings.state_dict().items()}
        return {**found, **dict(self.layers.as_hugging_face(self.layers.state_dict()))}


class Plain(nn.Module):
    """Any other encoder: its own forward, stopped at the embeddings and entered again behind them.

    Args:
        model: the base model.

    Raises:
        SetupError: when it has no embedding layer we know how to enter.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._embeddings = [_embedding_module(model)]  # in a list: not a second child of this module
        self._dropout = _take_dropout(self._embeddings[0])

    def embed(self, inputs: Inputs) -> Tensor:
        """embeddings_BLD after the LayerNorm, before the dropout; rows that the model lengthens (Longformer) are cut back."""
        captured: list[Tensor] = []

        def stop(module: nn.Module, arguments: Any, output: Tensor) -> None:
            captured.append(output)
            raise _Embedded

        handle = self._embeddings[0].register_forward_hook(stop)
        try:
            self.model(input_ids=inputs.ids, attention_mask=inputs.mask_BL.long())
        except _Embedded:
            pass
        finally:
            handle.remove()
        return captured[0][:, : inputs.ids.shape[1]]

    def encode(self, embeddings_BLD: Tensor, inputs: Inputs, bf16: bool) -> Tensor:
        """vectors_BLD of the last layer."""
        dropped_BLD = F.dropout(embeddings_BLD, self._dropout, self.training)

        def enter(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
            beyond = output[:, dropped_BLD.shape[1] :]
            return torch.cat([dropped_BLD, beyond], dim=1) if beyond.shape[1] else dropped_BLD

        handle = self._embeddings[0].register_forward_hook(enter)
        try:
            with torch.autocast(embeddings_BLD.device.type, torch.bfloat16, enabled=bf16):
                output = self.model(input_ids=inputs.ids, attention_mask=inputs.mask_BL.long())
        finally:
            handle.remove()
        vectors_BLD: Tensor = output.last_hidden_state
        return vectors_BLD.float()

    def hugging_face_state(self) -> dict[str, Tensor]:
        """The weights under their own names."""
        return dict(self.model.state_dict())


class _Embedded(Exception):
    """Leaves the model once the embeddings are known."""


def _embedding_module(model: nn.Module) -> nn.Module:
    module = getattr(model, "embeddings", None)
    if isinstance(module, nn.Module):
        return module
    raise SetupError(f"{type(model).__name__} has no embedding layer fewtag knows; BERT, RoBERTa, XLM-R, DistilBERT and their kin do")


def _take_dropout(embeddings: nn.Module) -> float:
    """The embedding layer's dropout rate; the layer itself no longer drops, since noise comes before dropout."""
    found = [part for part in embeddings.modules() if isinstance(part, nn.Dropout)]
    rate = max((part.p for part in found), default=0.0)
    for part in found:
        part.p = 0.0
    return rate
