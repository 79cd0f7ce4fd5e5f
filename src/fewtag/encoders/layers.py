"""The layers of the BERT family over one matrix of positions: no padding, one product for queries, keys and values.

BERT, mBERT, MiniLM, RoBERTa, XLM-R and DistilBERT share this shape: attention, add and normalize, feed forward, add and normalize.
Letters: N positions of the matrix, D width, R rows and L length of a group, H heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewtag.encoders.layout import Layout
from fewtag.encoders.mixed import MixedLinear


@dataclass(frozen=True, slots=True)
class Names:
    """Where a family keeps the parts of a layer, from the base model on."""

    layers: str
    query: str
    key: str
    value: str
    out: str
    attention_norm: str
    up: str
    down: str
    output_norm: str


_BERT = Names(
    "encoder.layer", "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm",
)  # fmt: skip
_DISTILBERT = Names(
    "transformer.layer", "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
    "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm",
)  # fmt: skip
FAMILIES = {"bert": _BERT, "roberta": _BERT, "xlm-roberta": _BERT, "camembert": _BERT, "distilbert": _DISTILBERT}


class Layer(nn.Module):
    """One layer.

    Args:
        source: the layer of a Hugging Face model; its weights are copied.
        names: where its parts are.
        heads: H.
        dropout, attention_dropout: after each block, and on attention probabilities.
    """

    def __init__(self, source: nn.Module, names: Names, heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        part: Any = source.get_submodule
        query, key, value = (part(name) for name in (names.query, names.key, names.value))
        self.qkv = MixedLinear(torch.cat([query.weight, key.weight, value.weight]), torch.cat([query.bias, key.bias, value.bias]))
        self.out, self.up, self.down = (MixedLinear(part(n).weight, part(n).bias) for n in (names.out, names.up, names.down))
        self.attention_norm, self.output_norm = (_norm_like(part(n)) for n in (names.attention_norm, names.output_norm))
        self.heads, self.dropout, self.attention_dropout = heads, dropout, attention_dropout

    def forward(self, x_ND: Tensor, layout: Layout) -> Tensor:
        """(N, D)."""
        mixed_ND = drop(self.out(self._attend(self.qkv(x_ND), layout)), self.dropout, self.training, layout.still_N1)
        x_ND = _normalize(self.attention_norm, x_ND + mixed_ND)
        wide_ND = drop(self.down(F.gelu(self.up(x_ND))), self.dropout, self.training, layout.still_N1)
        return _normalize(self.output_norm, x_ND + wide_ND)

    def _attend(self, qkv_N3D: Tensor, layout: Layout) -> Tensor:
        # Plain products: on a CPU the fused kernel's backward pass in bfloat16 is four to eight times slower.
        width = qkv_N3D.shape[1] // 3
        size = width // self.heads
        parts = []
        for g in layout.groups:
            own = qkv_N3D[g.start : g.start + g.rows * g.length].view(g.rows, g.length, 3, self.heads, size)
            q, k, v = own.permute(2, 0, 3, 1, 4).reshape(3, g.rows * self.heads, g.length, size).unbind(0)
            shape = (g.rows, self.heads, g.length, g.length)
            scores = torch.bmm(q * size**-0.5, k.transpose(1, 2)).view(shape)
            if g.bias_R11L is not None:
                scores = scores + g.bias_R11L.to(scores.dtype)
            weights = drop(torch.softmax(scores, -1), self.attention_dropout, self.training, g.still_R111)
            mixed = torch.bmm(weights.view(-1, g.length, g.length), v).view(g.rows, self.heads, g.length, size).transpose(1, 2)
            parts.append(mixed.reshape(g.rows * g.length, width))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def drop(x: Tensor, rate: float, training: bool, still: Tensor | None) -> Tensor:
    """Dropout that spares the positions marked ``still``."""
    if not training or rate == 0.0:
        return x
    dropped = F.dropout(x, rate)
    return dropped if still is None else torch.where(still, x, dropped)


def _norm_like(source: nn.LayerNorm) -> nn.LayerNorm:
    norm = nn.LayerNorm(source.normalized_shape, eps=source.eps)
    norm.load_state_dict(source.state_dict())
    return norm


def _normalize(norm: nn.LayerNorm, x_ND: Tensor) -> Tensor:
    # On a CPU the kernel takes bfloat16 activations with float32 weights; elsewhere both must be of one format.
    weight, bias = (norm.weight, norm.bias) if x_ND.device.type == "cpu" else (norm.weight.to(x_ND.dtype), norm.bias.to(x_ND.dtype))
    return F.layer_norm(x_ND, norm.normalized_shape, weight, bias, norm.eps)


class Layers(nn.Module):
    """All layers of a Hugging Face encoder of the BERT family.

    Args:
        model: the base model; its weights are copied.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        config: Any = model.config
        self.names = FAMILIES[config.model_type]
        heads = _value(config, "num_attention_heads", "n_heads")
        dropout = _value(config, "hidden_dropout_prob", "dropout")
        attention_dropout = _value(config, "attention_probs_dropout_prob", "attention_dropout")
        sources: Any = model.get_submodule(self.names.layers)
        self.layers = nn.ModuleList(Layer(source, self.names, heads, dropout, attention_dropout) for source in sources)

    def forward(self, x_ND: Tensor, layout: Layout) -> Tensor:
        """(N, D) of the last layer."""
        for layer in self.layers:
            x_ND = layer(x_ND, layout)
        return x_ND

    def as_hugging_face(self, values: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Parameters (or gradients) of this module under the names of the base model.

        Args:
            values: name in this module -> tensor.
        """
        n = self.names
        renamed = {"out": n.out, "up": n.up, "down": n.down, "attention_norm": n.attention_norm, "output_norm": n.output_norm}
        for name, value in values.items():
            _, index, part, kind = name.split(".")
            if part == "qkv":
                for target, third in zip((n.query, n.key, n.value), value.chunk(3), strict=True):
                    yield f"{n.layers}.{index}.{target}.{kind}", third.contiguous()
            else:
                yield f"{n.layers}.{index}.{renamed[part]}.{kind}", value


def _value(config: Any, *names: str) -> Any:
    """A setting under the name its family gives it."""
    return next(getattr(config, name) for name in names if hasattr(config, name))


def supports(model: nn.Module) -> bool:
    """Whether `Layers` computes what this base model computes."""
    config: Any = model.config
    if config.model_type not in FAMILIES or getattr(config, "is_decoder", False):
        return False
    activation = getattr(config, "hidden_act", getattr(config, "activation", ""))
    absolute = getattr(config, "position_embedding_type", "absolute") in ("absolute", None)
    return activation == "gelu" and absolute
