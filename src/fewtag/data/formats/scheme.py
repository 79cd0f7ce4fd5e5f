"""Tags as files have them -> BIO: the scheme is recognized over the whole file, mistakes are named with their line."""

from __future__ import annotations

from collections.abc import Sequence

from fewtag.data.problems import Problems
from fewtag.errors import nearest
from fewtag.text.sentence import Sentence
from fewtag.text.tags import convert, is_tag, recognize, repair, split_tag


def to_bio(sentences: Sequence[Sentence], problems: Problems) -> list[Sentence]:
    """The same sentences in BIO; a sentence whose tags are none is left out with an error.

    Args:
        sentences: of one file.
        problems: takes tags that are none (errors) and ``I-`` tags that continue nothing (warnings).
    """
    good, valid = [], {tag for s in sentences for tag in s.tags or () if is_tag(tag)}
    for sentence in sentences:
        bad = next((index for index, tag in enumerate(sentence.tags or ()) if not is_tag(tag)), None)
        if bad is None:
            good.append(sentence)
            continue
        tag = (sentence.tags or ())[bad]
        near = nearest(tag, valid) or nearest(tag[:1].upper() + tag[1:], valid)
        hint = f", did you mean {near}?" if near else "; a tag is O or a prefix and a label such as B-PER"
        path, line = place_of(sentence, bad)
        problems.error(path, line, "bad-tag", f"{tag!r} is not a tag{hint}")
    scheme = recognize(s.tags for s in good if s.tags)
    result = []
    for sentence in good:
        if sentence.tags is None:
            result.append(sentence)
        elif scheme == "BIO":
            fixed, places = repair(sentence.tags)
            for place in places:
                before = sentence.tags[place - 1] if place else "the start"
                path, line = place_of(sentence, place)
                label = split_tag(sentence.tags[place])[1]
                problems.warn(path, line, "orphan-i", f"{sentence.tags[place]} after {before} (treated as B-{label})")
            result.append(sentence.with_tags(fixed) if places else sentence)
        else:
            result.append(sentence.with_tags(convert(sentence.tags, scheme)))
    return result


def place_of(sentence: Sentence, token: int = 0) -> tuple[str, int]:
    """File and line of a token; in line-per-token files tokens follow each other from the sentence's first line."""
    path, _, line = sentence.source.rpartition(":")
    per_token = path.removesuffix(".gz").endswith((".conll", ".iob", ".bio", ".tsv", ".conllu"))
    return (path, int(line) + (token if per_token else 0)) if line.isdigit() else (sentence.source or sentence.id, 0)
