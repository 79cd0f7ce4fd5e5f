"""The low-resource setting (paper 4.2): a few sentences of each language keep their tags, the rest really loses them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fewtag.data.amounts import Amount, count_of, parse_amounts
from fewtag.data.arrays import HiddenTags, Joined, SentenceArrays, pick, tagged, without_tags
from fewtag.data.corpus import Corpus
from fewtag.data.files import write_text
from fewtag.errors import DataError
from fewtag.text.sentence import Sentence
from fewtag.text.tags import TagSet

_DEV_SHARE = 0.2  # of the labeled sentences, where there is no dev split
ByLanguage = dict[str, Sequence[Sentence]]


@dataclass(frozen=True)
class LowResource:
    """What a run may see.

    Args:
        labeled: sentences that keep their tags.
        unlabeled: the rest of train and the raw text, without tags.
        dev, test: with tags; ``test`` chooses nothing.
        hidden: id -> gold tags that were taken away; for diagnosis after a run only, reachable from no draw.
        tag_set: of the whole corpus.
        spec: what was asked for.
        seed: of the choice.
        notes: what was decided for the user.
        own_dev: languages without a dev split, whose dev sentences are a part of train.
    """

    labeled: ByLanguage
    unlabeled: ByLanguage
    dev: ByLanguage
    test: ByLanguage
    hidden: Mapping[str, tuple[str, ...]] = field(repr=False)
    tag_set: TagSet
    spec: str
    seed: int
    notes: list[str] = field(default_factory=list)
    own_dev: tuple[str, ...] = ()

    @classmethod
    def sample(
        cls,
        corpus: Corpus,
        labeled: str = "100%",
        seed: int = 13,
        languages: Sequence[str] | None = None,
        dev_size: str = "full",
        dev_like: str = "",
        unlabeled: str = "100%",
    ) -> LowResource:
        """Choose the labeled sentences of each language.

        Args:
            corpus: with a train split.
            labeled: per language ``"1%"`` (at least one sentence), ``"200"`` sentences, or ``"5shot"``: about five spans of each label;
                ``"en=200 5"``: English has an amount of its own. Dev sentences taken from train where there is no dev split are among them.
            seed: of the choice, per language independent of the other languages.
            languages: only these; None for all.
            dev_size: ``"full"``, or ``"matched"``: at most as many dev sentences as labeled ones (ambiguity A31).
            dev_like: what counts as labeled where dev sentences are counted by it, if that is not ``labeled``: the upper bound of an
                experiment has every label, and still stops by the dev sentences of the runs beside it.
            unlabeled: how much of each language's raw text there is to be, ``"10%"`` or ``"5000"`` sentences; a smaller pool is part of a
                larger one.

        Raises:
            ConfigError: for a specification that cannot be read.
            DataError: when nothing is labeled, or a sentence of dev or test has no tags.
        """
        languages = languages or corpus.languages
        amounts, pools = parse_amounts(labeled), parse_amounts(unlabeled, "unlabeled")
        dev_amounts = parse_amounts(dev_like) if dev_like else amounts
        for each in (amounts, pools, dev_amounts):
            each.check(corpus.languages)
        result: dict[str, ByLanguage] = {"labeled": {}, "unlabeled": {}, "dev": {}, "test": {}}
        hidden: list[Sequence[Sentence]] = []
        notes: list[str] = []
        own_dev: list[str] = []
        for language in languages:
            like = dev_amounts.of(language)
            splits = corpus.sentences[language]
            train = tagged(splits.get("train", []))
            order = shuffled(len(train), f"{seed}/{language}/labeled")
            dev: Sequence[Sentence] = splits.get("dev", [])
            wanted, most = count_of(*amounts.of(language), train, order), count_of(*like, train, order)
            if not dev and len(train) > 1:
                count = max(1, int(_DEV_SHARE * most))
                own_dev.append(language)
                dev, order = pick(train, sorted(order[:count])), order[count:]
                notes.append(f"{language} has no dev split: {len(dev)} of its labeled sentences are kept aside to decide when to stop")
            count = max(1, wanted - (len(train) - len(order))) if order else 0  # what was kept aside is of the amount, too
            chosen, left = sorted(order[:count]), sorted(order[count:])
            # A few stay objects, made once; they are drawn again and again.
            result["labeled"][language] = list(pick(train, chosen))
            rest = pick(train, left)
            hidden.append(rest)
            untagged = splits.get("train", [])
            untagged = [] if isinstance(untagged, SentenceArrays) else [s for s in untagged if s.tags is None and len(s)]
            raw = splits.get("unlabeled", [])
            raw = raw if isinstance(raw, SentenceArrays) else [s for s in raw if len(s)]
            parts = tuple(without_tags(part) for part in (rest, raw, untagged) if len(part))
            result["unlabeled"][language] = pool_of(
                parts[0] if len(parts) == 1 else Joined(parts), pools.of(language), f"{seed}/{language}/unlabeled"
            )
            if dev_size == "matched" and len(dev) > most:
                picked = sorted(random.Random(f"{seed}/{language}/dev").sample(range(len(dev)), most))
                dev = pick(dev, picked)
            for split, some in (("dev", dev), ("test", splits.get("test", []))):
                result[split][language] = [s for s in some if len(s)]
                bare = next((s for s in result[split][language] if s.tags is None), None)
                if bare is not None:
                    where = bare.source or f"{corpus.name}: {language}, id {bare.id!r}"
                    raise DataError(
                        f"{where}: a sentence of {split} without tags cannot be scored; where nothing is to be marked, give it no entities"
                    )
        if not any(result["labeled"].values()):
            raise DataError(f"{corpus.name}: no labeled sentence in any language; train files need tags")
        kept = {name: {lang: some for lang, some in part.items() if some} for name, part in result.items()}
        if not kept["dev"]:
            raise DataError(f"{corpus.name}: no dev split and too few labeled sentences to make one; add dev files")
        return cls(**kept, hidden=HiddenTags(hidden), tag_set=corpus.tag_set, spec=labeled, seed=seed, notes=notes, own_dev=tuple(own_dev))

    def save_ids(self, path: Path) -> None:
        """Write which sentences were chosen."""
        chosen = {language: [s.id for s in some] for language, some in sorted(self.labeled.items())}
        write_text(path, json.dumps({"labeled": self.spec, "seed": self.seed, "ids": chosen}, indent=1, ensure_ascii=False) + "\n")


def pool_of(raw: Sequence[Sentence], amount: Amount, key: str) -> Sequence[Sentence]:
    """The first so many of the raw sentences in an order drawn at random, as they stand in the file.

    Args:
        raw: all of a language.
        amount: of sentences.
        key: of the order.
    """
    count = count_of(*amount, raw, range(len(raw)))
    if count >= len(raw):
        return raw
    return pick(raw, sorted(shuffled(len(raw), key)[:count]))


def shuffled(count: int, key: str) -> list[int]:
    """The numbers from 0 in an order that the key alone decides."""
    order = list(range(count))
    random.Random(key).shuffle(order)
    return order
