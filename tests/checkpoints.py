"""Tiny Hugging Face checkpoints with random weights, made on the spot: one of each family we promise to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

FAMILIES = ("bert", "distilbert", "roberta", "xlm-roberta")
TEXT = [
    "angela merkel visited paris and berlin in the spring of 2019",
    "red running shoes for women size 8",
    "schwarze lederjacke für herren",
    "北京大学の先生は東京へ行った",
    "我爱北京天安门",
    "unbelievable tokenization of the longest words imaginable",
] * 3
_SHAPE = {"vocab_size": 0, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64}


def tokenizer_of(family: str) -> PreTrainedTokenizerFast:
    """A fast tokenizer of the family's kind, trained on `TEXT`."""
    if family in ("bert", "distilbert"):
        special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
        inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        inner.normalizer = normalizers.BertNormalizer(lowercase=False)
        inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        inner.decoder = decoders.WordPiece()
        trainer: Any = trainers.WordPieceTrainer(vocab_size=220, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
        first, last = "[CLS]", "[SEP]"
    else:
        special = {"unk_token": "<unk>", "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
        special |= {"pad_token": "<pad>", "mask_token": "<mask>"}
        names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        if family == "roberta":
            inner = Tokenizer(models.BPE())
            inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
            inner.decoder = decoders.ByteLevel()
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=names, initial_alphabet=alphabet)
        else:
            inner = Tokenizer(models.Unigram())
            inner.pre_tokenizer = pre_tokenizers.Metaspace()
            inner.decoder = decoders.Metaspace()
            trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=names, unk_token="<unk>")
        first, last = "<s>", "</s>"
    inner.train_from_iterator(TEXT, trainer)
    ids = [(first, inner.token_to_id(first)), (last, inner.token_to_id(last))]
    inner.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=ids)
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=48, **special)


def save_checkpoint(folder: Path, family: str) -> Path:
    """A checkpoint of two layers and 32 dimensions with 48 positions for text and specials."""
    tokenizer = tokenizer_of(family)
    shape = {**_SHAPE, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if family == "distilbert":
        config: Any = transformers.DistilBertConfig(
            vocab_size=len(tokenizer), n_layers=2, n_heads=2, dim=32, hidden_dim=64, max_position_embeddings=48
        )
    elif family == "bert":
        config = transformers.BertConfig(**shape, max_position_embeddings=48)
    else:
        kind = transformers.RobertaConfig if family == "roberta" else transformers.XLMRobertaConfig
        config = kind(**shape, max_position_embeddings=50, type_vocab_size=1)  # positions begin after the padding's
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
