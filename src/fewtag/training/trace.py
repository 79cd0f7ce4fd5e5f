"""Which pseudo-labels a run taught, step by step: ``pseudo.jsonl``. No gold tag is near; whoever has some can judge them afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from fewtag.methods.method import Said
from fewtag.text.sentence import Sentence
from fewtag.text.tags import TagSet
from fewtag.training.journal import Journal


def trace(journal: Journal, stage: str, step: int, said: Said, sentences: Sequence[Sentence], tag_set: TagSet) -> None:
    """Write the pseudo-labels of one step.

    Args:
        journal: of ``pseudo.jsonl``.
        stage: its name.
        step: from 1.
        said: what the method kept of the step.
        sentences: the raw sentences of the step, in the batch's order.
        tag_set: names the tags.
    """
    ids_BT = said.tag_ids_BT.tolist()
    tags = [["O"] * len(sentence) for sentence in sentences]
    for row, w in enumerate(said.windows):
        own = ids_BT[row][w.keep_start - w.start : w.keep_end - w.start]
        tags[w.sentence][w.keep_start : w.keep_end] = [tag_set.tags[index] for index in own]
    journal.write(
        "pseudo",
        stage=stage,
        step=step,
        language=sentences[0].language,
        feedback=None if said.feedback is None else float(said.feedback),
        ids=[sentence.id for sentence in sentences],
        tags=tags,
    )
