"""Hugging Face encoders: what transformers computes from the same files is the truth here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForTokenClassification, AutoTokenizer, pipeline

import fewtag
from checkpoints import FAMILIES, save_checkpoint
from fewtag.encoders import build_encoder
from fewtag.encoders.hugging_face import HuggingFaceEncoder
from fewtag.errors import SetupError
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy, soft_cross_entropy
from fewtag.learning.pseudo_labels import hard, sharpen
from fewtag.learning.seeding import Key
from fewtag.tagger.batch import Batch
from fewtag.tagger.folder import load, save
from fewtag.tagger.tagger import Tagger
from fewtag.text.sentence import Sentence
from fewtag.text.tags import TagSet, spans_of
from fewtag.text.words import sentence_from_text

SENTENCES = [
    ("angela", "merkel", "visited", "paris"),
    ("unbelievable", "shoes"),
    ("東", "京", "へ", "行", "った"),
    ("size", "8"),
    ("tokenization", "of", "the", "longest", "words", "imaginable", "in", "the", "spring"),
]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: save_checkpoint(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


def encoder_of(folder: Path, **options: Any) -> HuggingFaceEncoder:
    encoder = build_encoder(str(folder), **options)
    assert isinstance(encoder, HuggingFaceEncoder)
    return encoder.eval()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("filler", [float("nan"), float("inf")])
def test_embeddings_of_padding_may_hold_anything(family: str, filler: float, checkpoints: dict[str, Path]) -> None:
    encoder = encoder_of(checkpoints[family])
    inputs = encoder.pack(encoder.tokenize(SENTENCES))
    with torch.no_grad():
        embeddings_BLD = encoder.embed(inputs)
        filled_BLD = embeddings_BLD.where(inputs.mask_BL.unsqueeze(-1), filler)
        plain_BLD, found_BLD = (encoder.encode(each, inputs) for each in (embeddings_BLD, filled_BLD))
    assert not inputs.mask_BL.all() and torch.equal(found_BLD[inputs.mask_BL], plain_BLD[inputs.mask_BL])


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_those_of_transformers(family: str, checkpoints: dict[str, Path]) -> None:
    encoder = encoder_of(checkpoints[family])
    inputs = encoder.pack(encoder.tokenize(SENTENCES))
    tokenizer = AutoTokenizer.from_pretrained(checkpoints[family], **({"add_prefix_space": True} if family == "roberta" else {}))
    model = AutoModel.from_pretrained(checkpoints[family]).eval()
    with torch.no_grad():
        ours_BLD = encoder.encode(encoder.embed(inputs), inputs)
        for row, tokens in enumerate(SENTENCES):
            encoded = tokenizer(list(tokens), is_split_into_words=True, return_tensors="pt")
            assert inputs.ids[row][inputs.mask_BL[row]].tolist() == encoded["input_ids"][0].tolist()
            theirs_LD = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).last_hidden_state[0]
            torch.testing.assert_close(ours_BLD[row][inputs.mask_BL[row]], theirs_LD, rtol=1e-5, atol=1e-6)
            words = encoded.word_ids(0)
            first = [words.index(number) for number in range(len(tokens))]
            assert inputs.first_BT[row, : len(tokens)].tolist() == first


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_transformers(family: str, checkpoints: dict[str, Path]) -> None:
    encoder = encoder_of(checkpoints[family])
    inputs = encoder.pack(encoder.tokenize(SENTENCES))
    torch.manual_seed(3)
    weight_BLD = torch.randn(*inputs.mask_BL.shape, encoder.width) * inputs.mask_BL.unsqueeze(-1)
    (encoder.encode(encoder.embed(inputs), inputs) * weight_BLD).sum().backward()
    model = AutoModel.from_pretrained(checkpoints[family]).eval()
    (model(input_ids=inputs.ids, attention_mask=inputs.mask_BL.long()).last_hidden_state * weight_BLD).sum().backward()
    theirs = dict(model.named_parameters())
    ours = {f"embeddings.{name}": p.grad for name, p in encoder.body.embeddings.named_parameters()}
    ours |= dict(encoder.body.layers.as_hugging_face({name: p.grad for name, p in encoder.body.layers.named_parameters()}))
    assert set(theirs) - set(ours) <= {"pooler.dense.weight", "pooler.dense.bias"}
    for name, gradient in ours.items():
        scale = theirs[name].grad.abs().max()
        torch.testing.assert_close(gradient, theirs[name].grad, rtol=0, atol=1e-5 * float(scale) + 1e-7)


def test_noise_enters_between_embed_and_encode(checkpoints: dict[str, Path]) -> None:
    encoder = encoder_of(checkpoints["bert"])
    inputs = encoder.pack(encoder.tokenize(SENTENCES))
    with torch.no_grad():
        embeddings_BLD = encoder.embed(inputs)
        plain, noised = encoder.encode(embeddings_BLD, inputs), encoder.encode(embeddings_BLD + 0.1, inputs)
    assert not torch.allclose(plain, noised)


def test_token_without_pieces_keeps_its_place_and_long_tokens_fit(checkpoints: dict[str, Path]) -> None:
    encoder = encoder_of(checkpoints["bert"])
    units = encoder.tokenize([("paris", "\u200b", "x" * 500)])[0]
    assert len(units) == 3
    assert units.starts.tolist()[1:3] == [units.starts[1], units.starts[1] + 1]
    assert units.starts[3] - units.starts[2] <= encoder.max_positions


def tagger_of(folder: Path, steps: int = 60) -> Tagger:
    """A tagger that has learned a few spans by heart, so that there is something to find."""
    tag_set = TagSet.from_tags(["B-PER", "I-PER", "B-LOC", "I-LOC"])
    taught = [
        Sentence(("angela", "merkel", "visited", "paris"), ("B-PER", "I-PER", "O", "B-LOC"), "en"),
        Sentence(("paris", "and", "berlin"), ("B-LOC", "O", "B-LOC"), "en"),
        Sentence(tuple("我爱北京天安门"), ("O", "O", "B-LOC", "I-LOC", "B-LOC", "I-LOC", "I-LOC"), "zh"),
    ]
    torch.manual_seed(0)
    tagger = Tagger(build_encoder(str(folder)), tag_set, languages=["en", "zh"], decoding="greedy")
    optimizer = torch.optim.Adam(tagger.parameters(), lr=3e-3)
    batch = tagger.batcher.batch(taught, labeled=True)
    assert batch.tag_ids_BT is not None
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(tagger(batch), batch.tag_ids_BT).mean.backward()
        optimizer.step()
    return tagger.eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_folder_round_trip(family: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    tagger = tagger_of(checkpoints[family], steps=3)
    save(tagger, tmp_path / "model", card="a card")
    again = load(tmp_path / "model")
    batch = tagger.batcher.batch([Sentence(tokens, language="en") for tokens in SENTENCES], labeled=False)
    with torch.no_grad():
        assert torch.equal(tagger(batch), again(batch))
    assert again.tag_set.tags == tagger.tag_set.tags
    assert again.languages == tagger.languages
    assert not list((tmp_path / "model").glob("*.bin"))


def test_folder_opens_in_plain_transformers(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    tagger = tagger_of(checkpoints["bert"], steps=3)
    save(tagger, tmp_path / "model", card="a card")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "model").eval()
    assert [model.config.id2label[index] for index in range(5)] == list(tagger.tag_set.tags)
    batch = tagger.batcher.batch([Sentence(tokens, language="en") for tokens in SENTENCES], labeled=False)
    with torch.no_grad():
        theirs_BLC = model(input_ids=batch.inputs.ids, attention_mask=batch.inputs.mask_BL.long()).logits
        ours_BTC = tagger(batch)
    for row, tokens in enumerate(SENTENCES):
        first = batch.inputs.first_BT[row, : len(tokens)]
        torch.testing.assert_close(ours_BTC[row, : len(tokens)], theirs_BLC[row, first], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["angela merkel visited paris", "paris and berlin in the spring", "red running shoes", "merkel  visited berlin, paris"]),
        ("zh", ["我爱北京天安门", "北京", "我爱我", "东京大学"]),
    ],
)
def test_pipeline_finds_the_same_spans(language: str, texts: list[str], checkpoints: dict[str, Path], tmp_path: Path) -> None:
    save(tagger_of(checkpoints["bert"]), tmp_path / "model", card="a card")
    theirs = pipeline("token-classification", model=str(tmp_path / "model"), aggregation_strategy="first")
    ours = fewtag.load(tmp_path / "model")
    found = 0
    for text in texts:
        expected = [(item["start"], item["end"], item["entity_group"]) for item in theirs(text)]
        assert [(e.start, e.end, e.label) for e in ours(text, lang=language).entities] == expected
        found += len(expected)
    assert found >= 3


def test_long_text_is_tagged_through_windows_like_its_parts(checkpoints: dict[str, Path]) -> None:
    tagger = tagger_of(checkpoints["bert"])
    sentence = sentence_from_text("angela merkel visited paris and " * 30, language="en")
    prediction = tagger.predict([sentence])[0]
    assert len(prediction.tags) == len(sentence)
    assert prediction.windows > 1
    assert sum(span.label == "PER" for span in spans_of(prediction.tags)) >= 20


def test_smaller_limit_is_kept_in_the_folder(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    encoder = build_encoder(str(checkpoints["bert"]), max_length=20)
    assert encoder.max_positions == 18
    save(Tagger(encoder, TagSet.from_tags(["B-X"]), languages=["en"]), tmp_path / "model", card="")
    assert load(tmp_path / "model").encoder.max_positions == 18
    assert json.loads((tmp_path / "model" / "tokenizer_config.json").read_text())["model_max_length"] == 20


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./not-there", "no such folder"),
        ("bert-base-of-nobody", "not in the local cache and the network is switched off"),
    ],
)
def test_encoders_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        build_encoder(name)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SetupError, match="cannot be loaded"):
        build_encoder(str(tmp_path))


@pytest.mark.parametrize("damage", ["truncate", "remove", "newer", "tags"])
def test_damaged_tagger_folders_are_named(damage: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    save(tagger_of(checkpoints["bert"], steps=0), tmp_path / "model", card="")
    weights, about = tmp_path / "model" / "model.safetensors", tmp_path / "model" / "fewtag.json"
    values = json.loads(about.read_text())
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "remove":
        weights.unlink()
    elif damage == "newer":
        about.write_text(json.dumps({**values, "format": 99}))
    else:
        about.write_text(json.dumps({**values, "tags": values["tags"][::-1]}))
    with pytest.raises(SetupError, match=str(tmp_path / "model")):
        load(tmp_path / "model")


def test_bfloat16_passes_see_every_step_of_the_optimizer(checkpoints: dict[str, Path]) -> None:
    """The fused optimizer does not raise a tensor's version by itself, so a copy kept by version would never be renewed."""
    tagger = Tagger(build_encoder(str(checkpoints["bert"])), TagSet.from_tags(["B-X"]), languages=["en"])
    tagger.encoder.bf16 = True
    learner = Learner("student", tagger, LearnerConfig(lr=1e-2))
    batch = tagger.batcher.batch([Sentence(("angela", "visited", "paris"), ("O", "O", "B-X"), "en")], labeled=True)
    for step in range(3):
        loss = cross_entropy(learner.logits(batch, Key(0, "s", step), "supervised"), batch.tag_ids_BT).mean
        learner.descend(loss)
        tagger.logits([Sentence(("paris",))])
        for layer in tagger.encoder.body.layers.layers:
            for linear in (layer.qkv, layer.out, layer.up, layer.down):
                assert torch.equal(linear._copies(torch.bfloat16)[0], linear.weight.bfloat16())


def test_bfloat16_gradients_point_where_float32_gradients_do(checkpoints: dict[str, Path]) -> None:
    tagger = Tagger(build_encoder(str(checkpoints["bert"])), TagSet.from_tags(["B-X"]), languages=["en"]).eval()
    torch.nn.init.normal_(tagger.head.weight)
    batch = tagger.batcher.batch([Sentence(tokens, ("B-X",) * len(tokens), "en") for tokens in SENTENCES], labeled=True)
    gradients = []
    for bf16 in (False, True):
        tagger.encoder.bf16 = bf16
        loss = cross_entropy(tagger(batch), batch.tag_ids_BT).mean
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(tagger.parameters()))]))
    assert all(g.dtype == torch.float32 for g in gradients)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


@pytest.fixture(scope="module")
def two_batches(checkpoints: dict[str, Path]) -> tuple[Learner, Batch, Batch]:
    """A learner in float64 with one labeled and one raw batch of unequal lengths."""
    tagger = Tagger(build_encoder(str(checkpoints["bert"])), TagSet.from_tags(["B-X", "B-Y"]), languages=["en"], dropout=0.0).double()
    torch.manual_seed(4)
    torch.nn.init.normal_(tagger.head.weight)
    labeled = tagger.batcher.batch([Sentence(tokens, ("B-X",) * len(tokens), "en") for tokens in SENTENCES[:3]], labeled=True)
    raw = tagger.batcher.batch([Sentence(tokens, None, "en") for tokens in SENTENCES[1:]], labeled=False)
    return Learner("teacher", tagger, LearnerConfig(embeddings="dense")), labeled, raw


def _metats_gradients(learner: Learner, labeled: Batch, raw: Batch, shift: float) -> list[torch.Tensor]:
    """Gradients of L_sup + L_reg + L_meta from three parts; the noise is a constant shift, the same however the passes are made."""
    parts = (Pass(labeled, dropout=False), Pass(raw, dropout=False), Pass(raw, dropout=False, noise=lambda e, inputs: e + shift))
    labeled_BTC, clean_BTC, noised_BTC = learner.passes(Key(0, "s", 0), "supervised", *parts)
    assert labeled.tag_ids_BT is not None
    loss = cross_entropy(labeled_BTC, labeled.tag_ids_BT, smoothing=0.15).mean
    loss = loss + soft_cross_entropy(noised_BTC, sharpen(clean_BTC, 0.7), raw.token_mask_BT, raw.token_mask_BT.sum()).mean
    loss = loss - 0.3 * cross_entropy(clean_BTC, hard(clean_BTC, raw.token_mask_BT)).mean
    weights = [p for p in learner.tagger.parameters() if p.requires_grad]
    return [g for g in torch.autograd.grad(loss, weights, allow_unused=True) if g is not None]


def test_one_joined_pass_has_the_gradients_of_three(two_batches: tuple[Learner, Batch, Batch], monkeypatch: pytest.MonkeyPatch) -> None:
    joined = _metats_gradients(*two_batches, shift=0.1)
    monkeypatch.setattr(HuggingFaceEncoder, "joins", False)
    apart = _metats_gradients(*two_batches, shift=0.1)
    for ours, theirs in zip(joined, apart, strict=True):
        assert float((ours - theirs).abs().max()) <= 1e-10 * max(1.0, float(theirs.abs().max()))
    assert any(float(g.abs().max()) > 1e-3 for g in joined)
    other = _metats_gradients(*two_batches, shift=0.2)
    assert any(not torch.equal(a, b) for a, b in zip(joined, other, strict=True))


def test_dropout_spares_the_part_that_goes_without(two_batches: tuple[Learner, Batch, Batch]) -> None:
    learner, labeled, raw = two_batches
    parts = (Pass(labeled), Pass(raw, dropout=False), Pass(raw))
    with torch.no_grad():
        first, clean, noisy = learner.passes(Key(0, "s", 0), "supervised", *parts)
        again, clean_again, _ = learner.passes(Key(0, "s", 1), "supervised", *parts)
        learner.tagger.eval()
        alone = learner.tagger(raw)
    mask = raw.token_mask_BT
    torch.testing.assert_close(clean[mask], alone[mask], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(clean[mask], clean_again[mask], rtol=1e-10, atol=1e-12)
    assert not torch.allclose(noisy[mask], clean[mask])
    assert not torch.allclose(first[labeled.token_mask_BT], again[labeled.token_mask_BT])


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_waiting_rows_of_the_vocabulary_learn_what_dense_ones_do(checkpoints: dict[str, Path], family: str) -> None:
    trained = []
    for mode in ("lazy", "dense"):
        torch.manual_seed(3)
        tagger = Tagger(build_encoder(str(checkpoints[family])), TagSet.from_tags(["B-X"]), languages=["en"]).double()
        learner = Learner("student", tagger, LearnerConfig(lr=1e-3, epsilon=1e-14, embeddings=mode))  # type: ignore[arg-type]
        for step in range(12):
            tokens = SENTENCES[step % len(SENTENCES)]
            batch = tagger.batcher.batch([Sentence(tokens, ("B-X",) * len(tokens), "en")], labeled=True)
            assert batch.tag_ids_BT is not None
            learner.descend(cross_entropy(learner.logits(batch, Key(0, "s", step), "supervised"), batch.tag_ids_BT, smoothing=0.1).mean)
        with learner.settled() as settled:
            trained.append({name: value.clone() for name, value in settled.state_dict().items()})
    for name, value in trained[0].items():
        torch.testing.assert_close(value, trained[1][name], rtol=1e-5, atol=1e-7, msg=lambda text: f"{name}: {text}")  # noqa: B023
