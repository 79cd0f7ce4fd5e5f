"""What a sentence is: tokens, tags, spans. Pure Python, no torch."""

from fewtag.text.sentence import Sentence, Span
from fewtag.text.tags import TagSet, convert, recognize, repair, spans_of, tags_of

__all__ = ["Sentence", "Span", "TagSet", "convert", "recognize", "repair", "spans_of", "tags_of"]
