"""The model card: what a tagger was made from, how good it is, how to load it."""

from __future__ import annotations

from collections.abc import Mapping

from fewtag.tagger.tagger import Tagger


def card_of(tagger: Tagger, *, method: str, encoder: str, counts: Mapping[str, tuple[int, int]], scores: str, split: str) -> str:
    """The card as Markdown.

    Args:
        tagger: what is described.
        method, encoder: names.
        counts: language -> (labeled, raw) sentences.
        scores: a table.
        split: which split the scores are of.
    """
    labels = ", ".join(tagger.tag_set.labels)
    table = "\n".join(f"| {language} | {labeled} | {raw} |" for language, (labeled, raw) in counts.items())
    hugging_face = ""
    if tagger.encoder.kind == "hugging_face":
        hugging_face = (
            "\nThe folder also loads in plain transformers:\n\n"
            "```python\nfrom transformers import pipeline\n"
            'pipeline("token-classification", "FOLDER", aggregation_strategy="first", stride=32)  # spaced scripts\n'
            'pipeline("token-classification", "FOLDER", aggregation_strategy="simple", stride=32)  # Chinese, Japanese\n```\n'
            "Only first sub-words were trained, so no one strategy is right for every script; fewtag's own decoder is.\n"
        )
    return f"""---
library_name: fewtag
pipeline_tag: token-classification
language: [{", ".join(f'"{language}"' for language in counts)}]
---
# A tagger for {", ".join(counts)}

Tags: {labels}. Trained with the method `{method}` on the encoder `{encoder}`; decoding: {tagger.decoding}.

| language | labeled sentences | raw sentences |
|---|---:|---:|
{table}

## Scores on {split}

{scores}

## Use

```python
import fewtag

tagger = fewtag.load("FOLDER")
tagger("...").entities
```
{hugging_face}
## Limits

It knows only what its few labeled sentences showed; expect less on other kinds of text, and look at the scores by label above. Scores
of single entities are the network's own probabilities and are not calibrated.
"""
