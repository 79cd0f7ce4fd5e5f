"""A made corpus of shop queries in twelve languages: any size, the same for the same seed, written by us, free to use.

It stands in for the private set of the paper (4.1, Table 3): sizes skewed 57 to 1 between languages, 13 labels, nearly every token inside
a span, two to five tokens a query.
"""

from fewtag.data.queries.corpus import LANGUAGES, SIZES, generate, raw_queries, sizes_at, write_corpus
from fewtag.data.queries.grammar import LABELS

__all__ = ["LABELS", "LANGUAGES", "SIZES", "generate", "raw_queries", "sizes_at", "write_corpus"]
