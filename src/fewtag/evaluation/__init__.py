"""Scores: exact span F1 by language and label, kinds of errors, intervals, significance. No torch."""

from fewtag.evaluation.errors import KINDS, Case, SpanError, cases, count_errors, span_errors
from fewtag.evaluation.report import LanguageReport, Report, evaluate
from fewtag.evaluation.significance import Difference, Differences, TTest, holm, paired_bootstrap, paired_t_test
from fewtag.evaluation.span_f1 import MODES, Score, score

__all__ = [
    "KINDS",
    "MODES",
    "Case",
    "Difference",
    "Differences",
    "LanguageReport",
    "Report",
    "Score",
    "SpanError",
    "TTest",
    "cases",
    "count_errors",
    "evaluate",
    "holm",
    "paired_bootstrap",
    "paired_t_test",
    "score",
    "span_errors",
]
