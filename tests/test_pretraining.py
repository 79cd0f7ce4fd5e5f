"""Pre-training on the raw text: what is hidden, what is asked for, and who starts from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from checkpoints import save_checkpoint
from fewtag.encoders import Encoder, build_encoder
from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.encoders.encoder import Inputs
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.methods.distill import mean_of
from fewtag.methods.method import Budget, Stage
from fewtag.methods.pretraining import Pretrained, PretrainingConfig, choose
from fewtag.tagger import Batch, Tagger
from fewtag.tagger.batch import Batcher
from fewtag.text import Sentence, TagSet
from fewtag.training.fit import Position, fit
from fewtag.training.guard import Scored
from test_contract import TAG_SET

KEY = Key(0, "interact", 0)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("bert"), "bert")


def encoder_of(kind: str, checkpoint: Path) -> Encoder:
    torch.manual_seed(1)
    return CompactEncoder(CompactConfig(buckets=500, width=16, layers=1)) if kind == "compact" else build_encoder(str(checkpoint))


SENTENCES = [Sentence(("green", "shoe"), None, "en"), Sentence(("old", "blue", "box", "here"), None, "en")]


@pytest.mark.parametrize("kind", ["compact", "hugging_face"])
def test_a_hidden_word_leaves_no_trace_and_the_others_stay(kind: str, checkpoint: Path) -> None:
    encoder = encoder_of(kind, checkpoint).eval()
    batcher = Batcher(encoder, TagSet(("x",)))
    inputs = batcher.batch(SENTENCES, labeled=False).inputs
    place = int(inputs.first_BT[1, 1])
    if kind == "compact":
        other = batcher.batch([SENTENCES[0], Sentence(("old", "red", "box", "here"), None, "en")], labeled=False).inputs
    else:  # another word of one piece
        ids = inputs.ids.clone()
        ids[1, place] += 1
        other = replace(inputs, ids=ids)
    hidden_BL = torch.zeros_like(inputs.mask_BL)
    hidden_BL[1, place] = True
    seen, alike = encoder.embed(encoder.hide(inputs, hidden_BL)), encoder.embed(encoder.hide(other, hidden_BL))
    plain = encoder.embed(inputs)
    torch.testing.assert_close(seen, alike)  # whatever word it was
    assert not torch.allclose(seen[1, place], plain[1, place])
    keep = ~hidden_BL & inputs.mask_BL
    torch.testing.assert_close(seen[keep], plain[keep])
    identities = encoder.identities(inputs)
    assert identities.shape == inputs.mask_BL.shape and int(identities[1, place]) != int(encoder.identities(other)[1, place])


def test_an_identity_is_the_words_own_row() -> None:
    encoder = CompactEncoder(CompactConfig(buckets=5000, width=8, layers=1))
    inputs = encoder.pack(encoder.tokenize([["green", "shoe"], ["shoe"]]))
    identities = encoder.identities(inputs)
    assert identities[0, 1] == identities[1, 0] != identities[0, 0]


def positions(mask_BL: Tensor) -> Inputs:
    """Inputs whose every position is a word."""
    places_BT = torch.arange(mask_BL.shape[1]).expand(mask_BL.shape)
    return Inputs(torch.zeros_like(places_BT), None, mask_BL, mask_BL, places_BT)


@pytest.mark.parametrize("whole", [True, False])
def test_the_pieces_of_a_word_are_chosen_together_or_each_for_itself(whole: bool, checkpoint: Path) -> None:
    """Against a loop over words; rows of different lengths, so that padding of tokens stands beside the first position."""
    encoder = encoder_of("hugging_face", checkpoint)
    texts = [["hats", "shoexyz", "q"], ["redgreenblue"], ["blue", "shoes", "zzz", "green", "hat"]] * 20
    subwords = encoder.tokenize(texts)
    inputs = encoder.pack(subwords)
    chosen_BL, hidden_BL = choose(inputs, PretrainingConfig(chosen=0.3, hidden=0.5, whole_words=whole), KEY)
    words = shares = apart = 0
    for row, units in enumerate(subwords):
        for token in range(len(units.positions) - 1):
            first = int(inputs.first_BT[row, token])
            pieces = slice(first, first + int(units.positions[token + 1] - units.positions[token]))
            together = [len({bool(value) for value in found[row, pieces]}) == 1 for found in (chosen_BL, hidden_BL)]
            apart += not all(together)
            words, shares = words + 1, shares + int(chosen_BL[row, first])
    assert (apart == 0) == whole
    assert shares / words == pytest.approx(0.3, abs=0.13)
    assert not (chosen_BL & ~inputs.noise_mask_BL).any()


def test_positions_are_chosen_by_their_share_and_never_none() -> None:
    mask_BL = torch.ones(200, 50, dtype=torch.bool)
    mask_BL[:, 40:] = False
    chosen_BL, hidden_BL = choose(positions(mask_BL), PretrainingConfig(chosen=0.15, hidden=0.9), KEY)
    assert not (chosen_BL & ~mask_BL).any() and not (hidden_BL & ~chosen_BL).any()
    assert float(chosen_BL.sum()) / 8000 == pytest.approx(0.15, abs=0.015)
    assert float(hidden_BL.sum()) / float(chosen_BL.sum()) == pytest.approx(0.9, abs=0.03)
    for step in range(20):
        one, hidden = choose(positions(torch.tensor([[False, True]])), PretrainingConfig(chosen=0.01), Key(0, "p", step))
        assert one.tolist() == [[False, True]] == hidden.tolist()


def pretrained(name: str, kind: str, checkpoint: Path, guarded: bool = False, **values: Any) -> tuple[Pretrained, Batch]:
    def make(role: str) -> Tagger:
        return Tagger(encoder_of(kind, checkpoint), TAG_SET)

    learner = LearnerConfig(lr=3e-3)
    method = Pretrained(METHODS[name].method(resolve(name, values), make, learner), PretrainingConfig(steps=5), make, learner, guarded)
    return method, method.delivered.tagger.batcher.batch(SENTENCES * 4, labeled=False)


@pytest.mark.parametrize("kind", ["compact", "hugging_face"])
def test_pre_training_learns_to_guess_and_hands_over(kind: str, checkpoint: Path) -> None:
    method, raw = pretrained("metats", kind, checkpoint)
    first, second = method.stages()[:2]
    assert first.name == "pretrain" and not first.evaluated and second.name == "warm-up"
    start = {name: value.clone() for name, value in method.delivered.tagger.state_dict().items()}
    losses = [float(first.step(None, raw, Key(0, "pretrain", step))["masked words"]) for step in range(60)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert all(torch.equal(value, start[name]) for name, value in method.delivered.tagger.state_dict().items())  # not yet
    second.begin()
    expected = method.guesser.encoder.state_dict()
    for learner in method.inner.learners().values():
        assert all(torch.equal(value, expected[name]) for name, value in learner.tagger.encoder.state_dict().items())
    assert torch.equal(method.delivered.tagger.head.weight, start["head.weight"])  # the head knows nothing of it


def test_what_is_asked_for_is_not_shown(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method, raw = pretrained("metats", "compact", checkpoint)
    shown: list[torch.Tensor] = []
    passes = method.learner.passes

    def watched(key: Key, purpose: str, *parts: Any) -> Any:
        shown.append(method.guesser.encoder.embed(parts[0].batch.inputs).detach())
        return passes(key, purpose, *parts)

    monkeypatch.setattr(method.learner, "passes", watched)
    plain = method.guesser.encoder.embed(raw.inputs).detach()
    method.step(None, raw, KEY)
    _, hidden_BL = choose(raw.inputs, method.config, KEY)
    assert ((shown[0] != plain).any(-1) == hidden_BL).all() and hidden_BL.any()


def test_the_guard_knows_a_start_that_was_never_pre_trained(checkpoint: Path) -> None:
    """A dev set on which nothing but the first encoder is any good: what is delivered has it. Without the guard it has been left."""
    kept = {}
    for guarded in (True, False):
        method, raw = pretrained("smooth-ensemble", "compact", checkpoint, guarded=guarded)
        labeled = method.delivered.tagger.batcher.batch([replace(s, tags=("O",) * len(s.tokens)) for s in SENTENCES], labeled=True)
        bare = method.delivered.tagger.encoder.state_dict()["table"].clone()
        kinds: dict[str, tuple[Batch | None, ...]] = {"labeled": (labeled, None), "raw": (None, raw), "both": (labeled, raw)}

        def far(tagger: Tagger, bare: torch.Tensor = bare) -> Scored:
            return Scored(-float((tagger.state_dict()["encoder.table"] - bare).abs().sum()), {})

        def drawn(stage: Stage, step: int, kinds: dict[str, tuple[Batch | None, ...]] = kinds) -> tuple[Batch | None, ...]:
            return kinds[stage.draws]

        loop = fit(method, Position(), seed=1, draw=drawn, budget=lambda stage: Budget(3, 3, 9), evaluate=far, guard=True)
        passed = [progress.stage for progress in loop if progress.stage_done]
        assert passed == [*(["bare"] if guarded else []), "pretrain", "member-1", "member-2", "member-3", "distill"]
        kept[guarded] = far(method.delivered.tagger).value
        if method.bare is not None:
            assert kept[True] == far(method.bare.tagger).value
    assert kept[False] < 2 * kept[True] < 0


@pytest.mark.parametrize(("name", "values"), [("noisy-student", {}), ("metats", {"folds": 2})])
def test_fresh_starts_are_pre_trained_too_also_after_a_restart(name: str, values: dict[str, Any], checkpoint: Path) -> None:
    method, raw = pretrained(name, "compact", checkpoint, **values)
    stages = method.stages()
    stages[0].step(None, raw, Key(0, "pretrain", 0))
    stages[1].begin()
    inner: Any = method.inner
    table = method.guesser.encoder.state_dict()["table"]
    assert torch.equal(inner._fresh["encoder.table"], table)
    again, _ = pretrained(name, "compact", checkpoint, **values)
    again.restore(method.state())
    other: Any = again.inner
    assert torch.equal(other._fresh["encoder.table"], table)


def test_the_tagger_from_before_the_reading_teaches_where_it_is_heard(checkpoint: Path) -> None:
    """Squares of 60 and 30: 0.8 and 0.2 of the word, the first shared by three members; in German it is the other way round."""
    method, raw = pretrained("smooth-ensemble", "compact", checkpoint, hears_bare=True, say="by-language")
    bare, _, *members, _ = method.stages()
    assert method.bare is not None and bare.scored is method.bare, "it is trained whether or not there is a guard"
    inner: Any = method.inner
    assert method.bare.name not in inner.learners() and [each.name for each in inner.speakers[1]] == ["bare"]
    bare.ended({"en": 30.0, "de": 60.0})
    for stage in members:
        stage.ended({"en": 60.0, "de": 30.0})
    assert inner.weights("en") == pytest.approx([0.8 / 3] * 3 + [0.2])
    assert inner.weights("de") == pytest.approx([0.2 / 3] * 3 + [0.8])
    for seed, learner in enumerate((*inner.members, method.bare)):
        torch.manual_seed(seed)
        torch.nn.init.normal_(learner.tagger.head.weight, std=2.0)
    each = [mean_of([learner], raw, KEY) for learner in (*inner.members, method.bare)]
    torch.testing.assert_close(inner._ask(raw, KEY), 0.8 / 3 * (each[0] + each[1] + each[2]) + 0.2 * each[3])
    again, _ = pretrained("smooth-ensemble", "compact", checkpoint, hears_bare=True, say="by-language")
    again.restore(method.state())
    torch.testing.assert_close(cast(Any, again.inner)._ask(raw, KEY), inner._ask(raw, KEY))
    deaf, _ = pretrained("smooth-ensemble", "compact", checkpoint, guarded=True)
    assert deaf.bare is not None and not cast(Any, deaf.inner).speakers[1]


def test_the_word_of_each_counts_by_its_best_look_at_dev(checkpoint: Path) -> None:
    """Three looks at each tagger, of which the second is the best; the scores grow from tagger to tagger."""
    method, raw = pretrained("smooth-ensemble", "compact", checkpoint, hears_bare=True, say="by-language")
    labeled = method.delivered.tagger.batcher.batch([replace(s, tags=("O",) * len(s.tokens)) for s in SENTENCES], labeled=True)
    kinds: dict[str, tuple[Batch | None, ...]] = {"labeled": (labeled, None), "raw": (None, raw), "both": (labeled, raw)}
    looks = iter(range(100))

    def scored(tagger: Tagger) -> Scored:
        tagger_number, look = divmod(next(looks), 3)
        english = 10.0 * (tagger_number + 1) + (5.0 if look == 1 else 0.0)
        return Scored(english - 1, {"en": english, "de": english - 2})

    list(
        fit(method, Position(), seed=1, draw=lambda stage, step: kinds[stage.draws], budget=lambda stage: Budget(3, 1, 9), evaluate=scored)
    )
    inner: Any = method.inner
    expected = {"bare": 15.0, "member-1": 25.0, "member-2": 35.0, "member-3": 45.0}
    assert inner.scores == {name: {"en": english, "de": english - 2} for name, english in expected.items()}


# ---- a head that learns first, languages with weights
