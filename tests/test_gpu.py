"""What holds on a GPU, held to what the CPU does: every row of METHODS learns there, repeats itself, and resumes to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import test_contract as contract
from checkpoints import FAMILIES, save_checkpoint
from fewtag.data.queries import write_corpus
from fewtag.encoders import build_encoder
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy
from fewtag.methods import METHODS
from fewtag.methods.method import Method
from fewtag.tagger import Batch, Tagger
from fewtag.tagger.folder import load, save
from fewtag.tagger.precision import has_bf16
from fewtag.text import Sentence, TagSet
from fewtag.training.checkpoint import Checkpoints, same
from fewtag.training.fit import Position

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
GPU = torch.device("cuda")
TEXTS = ("angela merkel visited paris", "red running shoes", "我爱北京天安门", "berlin in the spring of 2019")


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract's taggers and batches are on the GPU."""
    made, drawn = contract.make_tagger, contract.draw

    def make(role: str, decoding: str = "viterbi") -> Tagger:
        return made(role, decoding).to(GPU)

    def draw(method: Method) -> Callable[..., tuple[Batch | None, ...]]:
        own = drawn(method)
        return lambda stage, step: tuple(None if batch is None else batch.to(GPU) for batch in own(stage, step))

    monkeypatch.setattr(contract, "make_tagger", make)
    monkeypatch.setattr(contract, "draw", draw)


@pytest.mark.parametrize("name", contract.NAMES)
@pytest.mark.usefixtures("on_gpu")
def test_a_row_repeats_itself_and_resumes_to_the_bit(name: str, tmp_path: Path) -> None:
    whole, events = contract.trained(name)
    assert same(contract.trained(name)[0], whole), "differs when run again"
    for cut in {len(events) // 2, len(events) - 2}:
        method, position = contract.build(name), Position()
        running = contract.loop(method, position)
        for _ in range(cut + 1):
            next(running)
        Checkpoints(tmp_path / str(cut)).save(cut, contract.outcome(method, position))
        state = Checkpoints(tmp_path / str(cut)).latest()
        assert state is not None
        again, place = contract.build(name), Position.restored(state["position"])
        again.restore(state["method"])
        assert list(contract.loop(again, place)) == events[cut + 1 :]
        assert same(contract.outcome(again, place), whole), f"differs when resumed after event {cut}"


@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.usefixtures("on_gpu")
def test_a_row_learns_and_its_folder_tags_alike_on_a_cpu(name: str, tmp_path: Path) -> None:
    method = contract.build(name)
    for _ in contract.loop(method, Position(), steps=150):
        pass
    tagger = method.delivered.tagger
    assert tagger.device.type == "cuda" and contract.evaluate(tagger).value > 90.0
    save(tagger, tmp_path / "model", card="")
    elsewhere = load(tmp_path / "model", device="cpu")
    for here, there in zip(tagger.logits(contract.DEV), elsewhere.logits(contract.DEV), strict=True):
        torch.testing.assert_close(torch.from_numpy(here), torch.from_numpy(there), rtol=1e-4, atol=1e-4)


def gradients(tagger: Tagger, device: torch.device) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits of TEXTS, and the gradient of a loss on them, on a device; both come back to the CPU."""
    tagger = tagger.to(device).eval()
    sentences = [Sentence(words, ("B-X",) * len(words), "en") for words in map(tuple, map(str.split, TEXTS))]
    batch = tagger.batcher.batch(sentences, labeled=True).to(device)
    assert batch.tag_ids_BT is not None
    logits_BTC = tagger(batch)
    found = torch.autograd.grad(cross_entropy(logits_BTC, batch.tag_ids_BT).mean, list(tagger.parameters()), allow_unused=True)
    real = logits_BTC.detach()[batch.token_mask_BT]
    return real.cpu(), [torch.zeros(()) if g is None else g.to_dense().cpu() for g in found]


@pytest.mark.parametrize("family", ["compact", *FAMILIES])
def test_an_encoder_gives_the_numbers_of_the_cpu(family: str, tmp_path: Path) -> None:
    """In float32; products of TF32 would be a thousand times coarser."""
    torch.manual_seed(3)
    encoder = (
        contract.make_tagger("student").encoder if family == "compact" else build_encoder(str(save_checkpoint(tmp_path / family, family)))
    )
    tagger = Tagger(encoder, TagSet.from_tags(["B-X", "B-Y"]), languages=["en"])
    torch.nn.init.normal_(tagger.head.weight)
    (logits, grads), (logits_gpu, grads_gpu) = gradients(tagger, torch.device("cpu")), gradients(tagger, GPU)
    torch.testing.assert_close(logits_gpu, logits, rtol=1e-4, atol=1e-4)
    for here, there in zip(grads_gpu, grads, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available() or not has_bf16(GPU), reason="this GPU has no bfloat16")
@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_points_where_float32_does(family: str, tmp_path: Path) -> None:
    tagger = Tagger(build_encoder(str(save_checkpoint(tmp_path / family, family))), TagSet.from_tags(["B-X", "B-Y"]), languages=["en"])
    torch.manual_seed(3)
    torch.nn.init.normal_(tagger.head.weight)
    flat = []
    for bf16 in (False, True):
        tagger.encoder.bf16 = bf16
        flat.append(torch.cat([each.flatten() for each in gradients(tagger, GPU)[1]]))
    assert torch.nn.functional.cosine_similarity(*flat, dim=0) > 0.99


def test_the_learner_keeps_its_optimizer_on_the_gpu_and_moves_as_on_a_cpu() -> None:
    """Ten steps without dropout from the same weights."""
    ended = []
    for device in (torch.device("cpu"), GPU):
        learner = Learner("student", contract.make_tagger("student").to(device).eval(), LearnerConfig(lr=0.01, embeddings="dense"))
        batch = learner.tagger.batcher.batch(contract.LABELED["en"], labeled=True).to(device)
        assert batch.tag_ids_BT is not None
        for _ in range(10):
            learner.descend(cross_entropy(learner.tagger(batch), batch.tag_ids_BT).mean)
        ended.append(torch.cat([w.detach().cpu().flatten() for w in learner.tagger.parameters()]))
    torch.testing.assert_close(ended[1], ended[0], rtol=1e-3, atol=1e-4)


def fewtag(*words: object) -> str:
    """What the command prints; it must end well."""
    done = subprocess.run([sys.executable, "-m", "fewtag", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_road_of_a_user(tmp_path: Path) -> None:
    """Without --device a run takes the GPU and says so; its tagger tags there and on a CPU."""
    write_corpus(tmp_path / "data", scale=0.002, seed=1)
    run, words = tmp_path / "run", tmp_path / "in.txt"
    few = [f"train.{name}=20" for name in ("max_steps", "semi_supervised_steps", "finetune_steps", "evaluate_every")]
    fewtag("train", tmp_path / "data", "-o", run, "-q", *(word for value in few for word in ("--set", value)))
    environment: dict[str, Any] = json.loads((run / "env.json").read_text(encoding="utf-8"))
    assert str(environment["machine"]["device"]).startswith("cuda") and environment["machine"]["gpu"] == torch.cuda.get_device_name(0)
    words.write_text("red shoes size 8\nblue rain coat\n", encoding="utf-8")
    said = [
        [[(e["start"], e["end"], e["label"]) for e in json.loads(line)["entities"]] for line in answer.splitlines()]
        for answer in (fewtag("predict", run / "model", words, "--lang", "en", "--device", device, "-q") for device in ("auto", "cpu"))
    ]
    assert len(said[0]) == 2 and said[0] == said[1]
