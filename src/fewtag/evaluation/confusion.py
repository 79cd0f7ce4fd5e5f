"""Which label was taken for which: every gold and every predicted span stands in exactly one cell.

Spans are paired as in `fewtag.evaluation.errors`: those that agree, then those that overlap. A pair stands in (gold label, predicted
label), so a wrong boundary under the right label stands on the diagonal. A gold span without a partner stands in (its label, NONE), a
predicted one in (NONE, its label). Rows therefore add up to the gold spans of a label and columns to the predicted ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fewtag.evaluation.errors import span_errors
from fewtag.evaluation.span_f1 import Tags, check_lengths, check_mode
from fewtag.text.tags import spans_of

NONE = ""  # no label can be empty
Confusion = Counter[tuple[str, str]]


def confusion(gold: Sequence[Tags], predicted: Sequence[Tags], *, mode: str = "lenient") -> Confusion:
    """Counts of (gold label, predicted label).

    Args:
        gold, predicted: tags of each sentence.
        mode: ``"lenient"`` or ``"strict"``.

    Raises:
        ConfigError: for an unknown mode.
        DataError: when sentences or tags are missing.
    """
    strict = check_mode(mode) == "strict"
    check_lengths(gold, predicted)
    counts: Confusion = Counter()
    for g, p in zip(gold, predicted, strict=True):
        for span in set(spans_of(g, strict=strict)) & set(spans_of(p, strict=strict)):
            counts[span.label, span.label] += 1
        for error in span_errors(g, p, mode=mode):
            counts[error.gold.label if error.gold else NONE, error.predicted.label if error.predicted else NONE] += 1
    return counts
