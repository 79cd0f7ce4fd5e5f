"""Any Hugging Face encoder with a fast tokenizer, from a folder, the local cache or the hub. A token's vector is its first sub-word's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from fewtag.encoders.bodies import ATTENTION, Packed, Plain
from fewtag.encoders.encoder import Encoder, Inputs, Subwords
from fewtag.encoders.layers import supports
from fewtag.encoders.layout import plan
from fewtag.encoders.words import WordTable
from fewtag.errors import SetupError, missing_extra

# fmt: off
_PROBE = [  # words of many scripts and kinds, for `words_stand_apart`
    "a", "the", "New", "2019", "3,5", "don't", "e-mail", "naïve", "STRASSE", "straße", "ğüzel", "Москва", "東京", "の", "北京大学",
    "สวัสดี", "한국어", "مرحبا", "नमस्ते", ",", ".", "(", '"', "'", "#", "@", "€", "👍🏽", "👩\u200d👩\u200d👧", "##a", "▁a", "Ġa",
    "[CLS]", "<s>", "\u200b", "\u00a0", "a b", " a", "a ", "e\u0301", "x" * 120, "http://example.org/a?b=c&d=e",
]
# fmt: on
_UNLIMITED = 100_000  # tokenizers without a limit say something enormous


class HuggingFaceEncoder(Encoder):
    """A transformer behind the encoder contract.

    `embed` gives the embedding layer's output after its LayerNorm and before its dropout (ambiguity A17); `encode` applies that dropout and
    runs the layers on it: ours for the BERT family (`Packed`), transformers' own for the rest (`Plain`).

    Args:
        model: what ``AutoModel`` gives; without a pooler's output being used.
        tokenizer: its fast tokenizer.
        max_length: positions of a row, specials counted; None: the smaller of the tokenizer's and the model's limit.
    """

    kind: ClassVar[str] = "hugging_face"
    learning_rate = 5e-5  # BERT's own range for fine-tuning; the paper's Table 2 has 1e-5 to 5e-5
    head_learning_rate = 5e-4  # ten times that: better and faster in first experiments, no table
    gains_from_bf16 = True
    joins = True  # several batches in one pass, where our layers run

    def __init__(self, model: nn.Module, tokenizer: Any, max_length: int | None = None) -> None:
        super().__init__()
        config: Any = model.config
        if not getattr(tokenizer, "is_fast", False):
            raise SetupError(f"the tokenizer of {config.name_or_path!r} is not a fast one; only fast tokenizers align words exactly")
        limit = _model_limit(model)
        self._rows = [_word_embeddings(model)]  # in a list: not a second child of this module
        self.body = Packed(model) if supports(model) else Plain(model)
        self.tokenizer = tokenizer
        self._words_apart = words_stand_apart(tokenizer)
        self._words = WordTable(self._word_pieces, spread=True)
        self.config = config
        self.width = int(config.hidden_size)
        if tokenizer.model_max_length < _UNLIMITED:
            limit = min(limit, int(tokenizer.model_max_length))
        if max_length is not None:
            limit = min(limit, max_length)
        self._prefix, self._suffix = _specials(tokenizer)
        self.max_length = limit
        self.max_positions = limit - len(self._prefix) - len(self._suffix)
        if self.max_positions < 1:
            raise SetupError(f"a maximum length of {limit} leaves no room for text beside the special tokens")

    @property
    def vocabulary(self) -> nn.Parameter | None:
        rows = self._rows[0]
        return None if rows is None else cast(nn.Parameter, rows.weight)

    def sparse_vocabulary(self, wanted: bool) -> None:
        if self._rows[0] is not None:
            self._rows[0].sparse = wanted

    @classmethod
    def pretrained(cls, name: str, max_length: int | None = None) -> HuggingFaceEncoder:
        """Load weights and tokenizer.

        Args:
            name: a folder, or a name on the hub; the local cache is asked first, the network only when allowed.
            max_length: see the class.

        Raises:
            SetupError: when it is not on this machine and cannot be fetched, lacks weights, or has no fast tokenizer.
        """
        try:
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging
        except ModuleNotFoundError:
            raise missing_extra("transformers", "train") from None
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar for what takes a blink, in the middle of our own display
        verbosity = logging.get_verbosity()
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it would report the unused pooler and, for a tagger folder, the head
        offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0") or os.environ.get("TRANSFORMERS_OFFLINE", "") not in ("", "0")
        if _looks_like_folder(name) and not Path(name).is_dir():
            raise SetupError(f"encoder {name!r}: no such folder; give compact, an existing folder, or a name on the Hugging Face hub")
        local = Path(name).is_dir()
        for local_only in (True,) if local or offline else (True, False):
            try:
                extra = _space_before(name, local_only)
                tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local_only, **extra)
                model, told = AutoModel.from_pretrained(
                    name, local_files_only=local_only, dtype=torch.float32, attn_implementation=ATTENTION, output_loading_info=True
                )
                _refuse_missing(name, told["missing_keys"])
                _put_space_before(tokenizer)
                return cls(model, tokenizer, max_length)
            except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            finally:
                logging.set_verbosity(verbosity)
        if local:
            raise SetupError(f"encoder folder {name} cannot be loaded: {reason}")
        if offline:
            raise SetupError(
                f"encoder {name!r} is not in the local cache and the network is switched off (HF_HUB_OFFLINE); give a folder instead"
            )
        raise SetupError(f"encoder {name!r} is neither on this machine nor to be had from the hub: {reason}")

    def tokenize(self, sentences: Sequence[Sequence[str]]) -> list[Subwords]:
        if self._words_apart:
            return self._words.gather(sentences)
        result = []
        for pieces in _pieces(self.tokenizer, sentences):
            kept = [self._whole(some) for some in pieces]
            starts = np.zeros(len(kept) + 1, dtype=np.int32)
            np.cumsum([len(some) for some in kept], out=starts[1:])
            result.append(Subwords(np.array([piece for some in kept for piece in some], dtype=np.int32), starts, starts))
        return result

    def _word_pieces(self, words: Sequence[str]) -> list[list[int]]:
        return [self._whole(some) for (some,) in _pieces(self.tokenizer, [[word] for word in words])]

    def _whole(self, pieces: list[int]) -> list[int]:
        # A token the tokenizer knows nothing of (an odd control character) still gets a position, and so a tag.
        # A single token longer than a window keeps its first pieces: its tag is read from the first.
        return (pieces or [self.tokenizer.unk_token_id])[: self.max_positions]

    def pack(self, rows: Sequence[Subwords]) -> Inputs:
        before, after = len(self._prefix), len(self._suffix)
        inner = np.array([len(row.ids) for row in rows], dtype=np.int64)
        tokens = np.array([len(row) for row in rows], dtype=np.int64)
        lengths = inner + before + after
        columns = np.arange(int(lengths.max(initial=before + after)))
        mask = columns < lengths[:, None]
        noisy = (columns >= before) & (columns < (before + inner)[:, None])
        ids = np.full(mask.shape, self.tokenizer.pad_token_id or 0, dtype=np.int64)
        ids[:, :before] = self._prefix
        for place, special in enumerate(self._suffix):
            ids[np.arange(len(rows)), before + inner + place] = special
        first = np.zeros((len(rows), int(tokens.max(initial=1)) or 1), dtype=np.int64)
        if rows:
            ids[noisy] = np.concatenate([row.ids for row in rows])
            first[np.arange(first.shape[1]) < tokens[:, None]] = np.concatenate([row.starts[:-1] for row in rows]) + before
        where = next(self.parameters()).device.type
        layout = plan(lengths.tolist(), len(columns), where) if rows and isinstance(self.body, Packed) else None
        return Inputs(torch.from_numpy(ids), None, torch.from_numpy(mask), torch.from_numpy(noisy), torch.from_numpy(first), layout)

    def identities(self, inputs: Inputs) -> Tensor:
        return inputs.ids

    def hide(self, inputs: Inputs, hidden_BL: Tensor) -> Inputs:
        if self.tokenizer.mask_token_id is None:
            name = self.config.name_or_path
            raise SetupError(f"the tokenizer of {name!r} has no mask token, so no word can be hidden; set pretraining.steps to 0")
        return replace(inputs, ids=inputs.ids.masked_fill(hidden_BL, self.tokenizer.mask_token_id))

    def embed(self, inputs: Inputs) -> Tensor:
        return self.body.embed(inputs)

    def encode(self, embeddings_BLD: Tensor, inputs: Inputs) -> Tensor:
        return self.body.encode(embeddings_BLD, inputs, self.bf16)

    def encode_many(self, embeddings: Sequence[Tensor], inputs: Sequence[Inputs], dropout: Sequence[bool]) -> list[Tensor]:
        if not isinstance(self.body, Packed) or not self.joins:
            return super().encode_many(embeddings, inputs, dropout)
        self.train(any(dropout))
        return self.body.encode_many(embeddings, inputs, dropout, self.bf16)

    def hugging_face_state(self) -> dict[str, Tensor]:
        """The weights under the names of the base model, without a pooler's."""
        return self.body.hugging_face_state()

    def save_files(self, folder: Path) -> dict[str, Any]:
        self.tokenizer.model_max_length = self.max_length
        self.tokenizer.save_pretrained(folder)
        return {"model_type": self.config.model_type, "max_length": self.max_length}


def _pieces(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[list[list[int]]]:
    """The pieces of each token of each sentence."""
    filled = [list(tokens) for tokens in sentences]
    if not filled:
        return []
    encoded = tokenizer(filled, is_split_into_words=True, add_special_tokens=False, truncation=False, verbose=False)
    result = []
    for index, tokens in enumerate(filled):
        pieces: list[list[int]] = [[] for _ in tokens]
        for piece, word in zip(encoded["input_ids"][index], encoded.word_ids(index), strict=True):
            if word is not None:
                pieces[word].append(piece)
        result.append(pieces)
    return result


def words_stand_apart(tokenizer: Any) -> bool:
    """Whether a tokenizer gives each word of a list the pieces it gives the word alone, tried on words of every kind.

    The tokenizers we know do, since they take the words of a list one by one. One that looks at a word's neighbors is then asked for whole
    sentences, always.
    """
    alone = {word: pieces for word, (pieces,) in zip(_PROBE, _pieces(tokenizer, [[word] for word in _PROBE]), strict=True)}
    orders = (_PROBE, _PROBE[::-1], [word for word in _PROBE for _ in range(2)])
    return all(_pieces(tokenizer, [order])[0] == [alone[word] for word in order] for order in orders)


def _word_embeddings(model: Any) -> nn.Embedding | None:
    found = model.get_input_embeddings()
    return found if isinstance(found, nn.Embedding) else None


def _looks_like_folder(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or (os.sep != "/" and os.sep in name)


def _space_before(name: str, local_only: bool) -> dict[str, bool]:
    """Some byte-level tokenizers (RoBERTa, GPT-2) take word lists only when told so at once to put a space before the first word too."""
    from transformers import AutoConfig

    kind = AutoConfig.from_pretrained(name, local_files_only=local_only).model_type
    return {"add_prefix_space": True} if kind in ("roberta", "longformer", "gpt2", "modernbert") else {}


def _put_space_before(tokenizer: Any) -> None:
    """Words of a list are words to a byte-level tokenizer only with a space before each; without, they are parts of one."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    before = getattr(backend, "pre_tokenizer", None)
    if before is None:
        return
    try:
        state = json.loads(before.__getstate__())
    except Exception:  # of no class of its own: one written in Python (Jieba) cannot be looked into, and is no byte-level one
        return
    first = state["pretokenizers"][0] if state.get("type") == "Sequence" else state
    if first.get("type") == "ByteLevel" and not first["add_prefix_space"]:
        first["add_prefix_space"] = True
        before.__setstate__(json.dumps(state).encode())
        backend.pre_tokenizer = before


def _refuse_missing(name: str, missing: Iterable[str]) -> None:
    """Weights that a folder lacks would be random ones, and nobody would know. Nothing reads a pooler."""
    lacks = sorted(key for key in missing if "pooler" not in key)
    if lacks:
        more = f" and {len(lacks) - 3} more" if len(lacks) > 3 else ""
        raise SetupError(
            f"encoder {name}: its file of weights lacks {', '.join(lacks[:3])}{more}; it was saved incomplete or under other names"
        )


def _model_limit(model: Any) -> int:
    """Positions that the model has numbers for; RoBERTa and its kin begin to count behind the padding's."""
    limit = int(getattr(model.config, "max_position_embeddings", 0) or 512)
    places = next((m for name, m in model.named_modules() if name.endswith("position_embeddings") and isinstance(m, nn.Embedding)), None)
    return limit - (0 if places is None or places.padding_idx is None else places.padding_idx + 1)


def _specials(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The ids a tokenizer puts before and after a sentence."""
    probe = "a"
    plain = tokenizer(probe, add_special_tokens=False)["input_ids"]
    full = tokenizer(probe)["input_ids"]
    for start in range(len(full) - len(plain) + 1):
        if full[start : start + len(plain)] == plain:
            return full[:start], full[start + len(plain) :]
    return full[:1], full[-1:]
