"""How a batch lies in one matrix: the cheapest groups, by enumeration; other groups, the same numbers; a number format for each device."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from checkpoints import save_checkpoint
from fewtag.encoders import build_encoder
from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.encoders.encoder import Encoder
from fewtag.encoders.layout import Layout, cut, join, plan
from fewtag.tagger import precision

WORDS = [("red",) * count for count in (1, 2, 2, 5, 9, 14)]


def partitions(lengths: list[int]) -> Iterator[list[tuple[int, int]]]:
    """Every way to cut without parting equal lengths."""
    borders = [i for i in range(1, len(lengths)) if lengths[i] != lengths[i - 1]]
    for chosen in itertools.chain.from_iterable(itertools.combinations(borders, count) for count in range(len(borders) + 1)):
        edges = [0, *chosen, len(lengths)]
        yield list(itertools.pairwise(edges))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=9).map(sorted), st.integers(0, 60))
def test_no_other_cut_is_cheaper(lengths: list[int], group_cost: int) -> None:
    def cost(ranges: list[tuple[int, int]]) -> int:
        return sum((end - start) * lengths[end - 1] + group_cost for start, end in ranges)

    found = cut(lengths, group_cost)
    assert found in list(partitions(lengths)) and cost(found) == min(map(cost, partitions(lengths)))


def test_a_gpu_gets_one_group_where_a_cpu_gets_several() -> None:
    lengths = [3, 4, 8, 20, 33]
    here, there = plan(lengths, 33), plan(lengths, 33, "cuda")
    assert len(here.groups) > 1 and len(there.groups) == 1
    joined_here, joined_there = (join([each, each], [False, True]) for each in (here, there))
    assert len(joined_here.groups) > 1 and len(joined_there.groups) == 1, "joined as it was cut"
    assert len(plan([3] * 200 + [40] * 200, 40, "cuda").groups) == 2, "unless padding is worth more than a thousand positions"


def test_groups_change_no_vector(tmp_path: Path) -> None:
    encoder = build_encoder(str(save_checkpoint(tmp_path / "bert", "bert"))).eval()
    inputs = encoder.pack(encoder.tokenize(WORDS))
    assert isinstance(inputs.layout, Layout)
    vectors = []
    for device in ("cpu", "cuda"):
        object.__setattr__(inputs, "layout", plan(inputs.layout.lengths, inputs.layout.width, device))
        with torch.no_grad():
            vectors.append(encoder.encode(encoder.embed(inputs), inputs)[inputs.mask_BL])
    torch.testing.assert_close(*vectors, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "width", "fast", "wanted"),
    [
        ("cpu", 384, True, True),
        ("cpu", 384, False, False),
        ("cuda", 384, True, False),
        ("cuda", 768, True, True),
        ("cuda", 768, False, False),
    ],
)
def test_bfloat16_is_taken_where_it_is_faster(device: str, width: int, fast: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wide(CompactEncoder):
        gains_from_bf16 = True

    monkeypatch.setattr(precision, "has_bf16", lambda where: fast)
    encoder: Encoder = Wide(CompactConfig(buckets=10, width=8, layers=1))
    encoder.width = width
    assert precision.use_bf16("auto", torch.device(device), encoder) is wanted
    assert precision.use_bf16("bf16", torch.device(device), encoder) and not precision.use_bf16("fp32", torch.device(device), encoder)


@pytest.mark.parametrize(("avx", "amx"), [(True, False), (False, True), (False, False)])
def test_an_older_torch_is_asked_one_by_one(avx: bool, amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert precision.has_bf16(torch.device("cpu")) is (avx or amx)
