"""How much is kept of each language: ``1%``, ``200``, ``5shot``, or amounts of their own, ``en=200 de=20 5``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fewtag.errors import ConfigError, unknown
from fewtag.text.sentence import Sentence
from fewtag.text.tags import spans_of

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(%|shot)?")
Amount = tuple[float, str]  # with its unit: "%", "" (sentences) or "shot"


@dataclass(frozen=True, slots=True)
class Amounts:
    """An amount for every language.

    Args:
        own: of the languages that have one of their own, in alphabetical order.
        rest: of all others; None: there must be no others.
        what: ``"labeled"`` or ``"unlabeled"``, for people.
    """

    own: tuple[tuple[str, Amount], ...]
    rest: Amount | None
    what: str = "labeled"

    def of(self, language: str) -> Amount:
        """What is kept of one language.

        Raises:
            ConfigError: where nothing says.
        """
        found = dict(self.own).get(language, self.rest)
        if found is None:
            raise ConfigError(f"{self.what}: nothing says how much of {language}; add {language}=200, or an amount alone for all others")
        return found

    def check(self, languages: Sequence[str]) -> None:
        """Refuse amounts of languages that are not there.

        Raises:
            ConfigError: with the nearest that is.
        """
        for language, _ in self.own:
            if language not in languages:
                # A language may be there and left out of this run, so what to choose from is said to be the run's.
                raise ConfigError(f"{self.what}: {unknown('language', language, languages)[:-1]} (the languages of this run).")

    @property
    def alike(self) -> Amount | None:
        """The one amount of all languages; None where some have their own."""
        return None if self.own else self.rest


def parse_amounts(text: str, what: str = "labeled") -> Amounts:
    """Read ``"1%"``, or words with spaces between, ``"en=200 de=20 5"``: 5 is for every language that is not named.

    Args:
        text: to read.
        what: ``"labeled"``, or ``"unlabeled"`` text, which has no labels to count shots of.

    Raises:
        ConfigError: for anything else, and for a language or the others named twice.
    """
    own: dict[str, Amount] = {}
    rest: list[Amount] = []
    for word in str(text).split() or [""]:
        language, equals, amount = word.rpartition("=")
        if language in own or (equals and not language):
            raise ConfigError(f"{what} {text!r}: write each language once, as in en=200 de=20")
        if equals:
            own[language] = parse_amount(amount, what)
        else:
            rest.append(parse_amount(word, what))
    if len(rest) > 1:
        raise ConfigError(f"{what} {text!r} has {len(rest)} amounts for the same languages; write one, and others as de=20")
    return Amounts(tuple(sorted(own.items())), rest[0] if rest else None, what)


def parse_amount(text: str, what: str = "labeled") -> Amount:
    """``"1%"`` -> (1.0, "%"); ``"200"`` -> (200.0, ""); ``"5shot"`` -> (5.0, "shot").

    Raises:
        ConfigError: for anything else.
    """
    labeled, match = what == "labeled", _AMOUNT.fullmatch(text)
    if not match or float(match[1]) <= 0 or (match[2] == "%" and float(match[1]) > 100) or (match[2] == "shot" and not labeled):
        ways = "(1%), a number per language (200) or shots per label (5shot)" if labeled else "(10%) or a number per language (5000)"
        above = ", above 0" if match and float(match[1]) <= 0 else ""
        raise ConfigError(f"{what} {text!r} cannot be read; write a share {ways}{above}")
    amount, unit = float(match[1]), match[2] or ""
    if unit != "%" and amount != int(amount):
        raise ConfigError(f"{what} {text!r}: a number of sentences or shots must be whole; for a share write {text}%")
    return amount, unit


def count_of(amount: float, unit: str, train: Sequence[Sentence], order: Sequence[int]) -> int:
    """How many sentences of ``order`` are kept."""
    if unit == "%":
        return min(len(order), max(1, round(amount / 100 * len(train)))) if order else 0
    if unit == "":
        return min(len(order), int(amount))
    total = Counter(span.label for index in order for span in spans_of(train[index].tags or ()))
    seen: Counter[str] = Counter()
    for count, index in enumerate(order):
        if all(seen[label] >= min(amount, number) for label, number in total.items()):
            return count
        seen.update(span.label for span in spans_of(train[index].tags or ()))
    return len(order)
