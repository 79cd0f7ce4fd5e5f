"""Bad input is answered with what, where and what would be right; never with a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from bad_input import CASES, DOCUMENT, Case, answer, entry, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tagger") / "model")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bad_input(case: Case, model: Path, tmp_path: Path) -> None:
    code, printed = answer(case, tmp_path, model)
    assert "Traceback" not in printed
    assert case.says in printed
    assert code == case.exit, printed
    assert entry(case, code, printed) in DOCUMENT.read_text(encoding="utf-8"), "python tests/bad_input.py writes it anew"
