"""Encoders as people have them: folders that lack weights or are damaged, kinds that count or pad otherwise, the format they tag in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers
from transformers import AutoModelForTokenClassification

import fewtag
from checkpoints import save_checkpoint, tokenizer_of
from fewtag.encoders import build_encoder
from fewtag.encoders.hugging_face import HuggingFaceEncoder
from fewtag.errors import SetupError
from fewtag.learning.noise import GaussianNoise
from fewtag.tagger.folder import load, save
from fewtag.text.sentence import Sentence
from test_hugging_face import SENTENCES, encoder_of, tagger_of


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("bert"), "bert")


def resaved(source: Path, folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
    """A copy of a checkpoint with other weights."""
    shutil.copytree(source, folder)
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_weights_that_are_missing_are_not_made_up(bert: Path, tmp_path: Path) -> None:
    renamed = resaved(bert, tmp_path / "compiled", lambda w: {f"_orig_mod.{name}": value for name, value in w.items()})
    with pytest.raises(SetupError, match=r"compiled: its file of weights lacks embeddings\..* and \d+ more"):
        build_encoder(str(renamed))
    pooler = resaved(bert, tmp_path / "plain", lambda w: {name: v for name, v in w.items() if "pooler" not in name})
    assert build_encoder(str(pooler)).width == 32, "nobody reads the pooler"
    save(tagger_of(bert, steps=1), tmp_path / "model", card="a card")
    gone = "bert.encoder.layer.0.output.dense.weight"
    lacking = resaved(tmp_path / "model", tmp_path / "lacking", lambda w: {name: v for name, v in w.items() if name != gone})
    with pytest.raises(SetupError, match=r"its file of weights lacks encoder.layer.0.output.dense.weight;"):
        load(lacking)


def test_a_damaged_encoder_is_one_sentence(bert: Path, tmp_path: Path) -> None:
    for name in ("cut", "wide"):
        shutil.copytree(bert, tmp_path / name)
    weights, config = tmp_path / "cut" / "model.safetensors", tmp_path / "wide" / "config.json"
    weights.write_bytes(weights.read_bytes()[:-200])
    config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_size": 48, "intermediate_size": 96}))
    for name in ("cut", "wide"):
        with pytest.raises(SetupError, match=f"encoder folder .*{name} cannot be loaded"):
            build_encoder(str(tmp_path / name))


def test_byte_level_words_have_their_space(tmp_path: Path) -> None:
    """Of a model type that transformers would not tell to put it there."""
    tokenizer = tokenizer_of("roberta")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.model_max_length = 10**30  # it names no limit, so the model's counts
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 50}
    config = transformers.Data2VecTextConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **shape)
    transformers.Data2VecTextModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    encoder = encoder_of(tmp_path)
    (units,) = encoder.tokenize([("red", "running", "shoes")])
    first = [encoder.tokenizer.convert_ids_to_tokens([units.ids[start]])[0] for start in units.starts[:-1]]
    assert all(piece.startswith("Ġ") for piece in first), first
    assert encoder.max_length == 48, "its positions begin behind the padding's, as RoBERTa's do"


def test_noise_reaches_an_encoder_that_lengthens_its_rows() -> None:
    """Longformer fills rows up to a whole number of its windows before it looks anything up."""
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 66}
    tokenizer = tokenizer_of("roberta")
    config = transformers.LongformerConfig(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, attention_window=8, type_vocab_size=1, **shape
    )
    model = transformers.LongformerModel(config).eval()
    encoder = HuggingFaceEncoder(model, tokenizer).eval()
    inputs = encoder.pack(encoder.tokenize(SENTENCES))
    with torch.no_grad():
        embeddings_BLD = encoder.embed(inputs)
        assert embeddings_BLD.shape[:2] == inputs.mask_BL.shape and inputs.mask_BL.shape[1] % 8
        found_BLD = encoder.encode(embeddings_BLD, inputs)
        theirs_BLD = model(input_ids=inputs.ids, attention_mask=inputs.mask_BL.long()).last_hidden_state
        assert torch.equal(found_BLD[inputs.mask_BL], theirs_BLD[inputs.mask_BL])
        noised_BLD = encoder.encode(GaussianNoise(1.0)(embeddings_BLD, inputs), inputs)
    assert not torch.allclose(noised_BLD[inputs.mask_BL], found_BLD[inputs.mask_BL])


def test_a_layer_that_transformers_has_more_is_not_saved_as_trained(tmp_path: Path) -> None:
    """ModernBERT's class for tagging has one between encoder and head; transformers is to say that it is new."""
    tokenizer = tokenizer_of("bert")
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 48}
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), tokenizer.pad_token_id)
    config = transformers.ModernBertConfig(vocab_size=len(tokenizer), **ids, **shape)
    transformers.ModernBertModel(config).save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    tagger = tagger_of(tmp_path / "tiny", steps=1)
    save(tagger, tmp_path / "model", card="a card")
    _, told = AutoModelForTokenClassification.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert told["missing_keys"] and all(name.startswith("head.") for name in told["missing_keys"])
    batch = tagger.batcher.batch([Sentence(tokens, language="en") for tokens in SENTENCES], labeled=False)
    with torch.no_grad():
        assert torch.equal(tagger(batch), load(tmp_path / "model")(batch))


@pytest.mark.parametrize(("configured", "asked", "expected"), [(None, None, True), ("fp32", None, False), ("fp32", "bf16", True)])
def test_tagging_runs_in_the_format_of_the_run(
    configured: str | None, asked: Any, expected: bool, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fewtag.tagger.precision.has_bf16", lambda device: True)
    save(tagger_of(bert, steps=1), tmp_path / "model", card="", extra={"precision": configured} if configured else None)
    predictor: Any = fewtag.load(tmp_path / "model", precision=asked)
    assert predictor.tagger.encoder.bf16 is expected
    assert load(tmp_path / "model").encoder.bf16 is False, "whoever wants the weights gets them exact"
