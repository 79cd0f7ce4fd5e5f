"""What each part of MetaTS and each switch beyond it brings: the arms of our study, each a comparison of `metats` with its variants.

    python benchmarks/study.py feedback massive_slots -o runs/study-feedback --labeled 1% --seeds 3

runs ``fewtag compare`` with the rows of the arm; what follows the data is handed on to it. Then
``python benchmarks/keep_comparison.py runs/study-feedback study-feedback-slots`` keeps the result for benchmarks/tables.py.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Arm:
    """One question.

    Args:
        about: the question.
        variants: by name, ``METHOD: SETTINGS``.
        methods: rows as they are, beside ``supervised-multi``, ``metats`` and ``supervised-full``.
        shared: whether the rows go on from the ``supervised-multi`` of their seed.
        equal_budget: whether each has as many encoder passes as the longest.
        reference: the row the variants are judged by.
        judges: variants that are judged by another row.
    """

    about: str
    variants: dict[str, str]
    methods: tuple[str, ...] = ()
    shared: bool = True
    equal_budget: bool = False
    reference: str = "metats"
    judges: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[str]:
        """The methods that stand in its table as they are."""
        return ["supervised-multi", "metats", *self.methods, "supervised-full"]

    def judge(self, row: str) -> str:
        """The row that says what this one is worth; empty for a row that is here for orientation."""
        return self.judges.get(row, self.reference if row in self.variants and row != self.reference else "")


def feedback() -> dict[str, str]:
    """Every kind of feedback and every control at three weights each."""
    raw = "method.feedback.baseline=none method.feedback.standardize=false"
    kinds = {
        "constant": ("method.feedback.kind=constant", (0.001, 0.01, 0.1)),
        "printed": (f"{raw} method.feedback.sign=printed", (0.1, 1, 10)),
        "corrected": (raw, (0.1, 1, 10)),
        "standardized": ("", (0.001, 0.01, 0.1)),
        "permuted": ("method.feedback.permuted=true", (0.001, 0.01, 0.1)),
        "product": ("method.feedback.kind=product", (0.001, 0.01, 0.1)),
        "token": ("method.feedback.kind=token", (0.1, 1, 10)),
        "token-permuted": ("method.feedback.kind=token method.feedback.permuted=true", (0.1, 1, 10)),
    }
    found = {"none": "metats: method.weight_meta=0"}
    for name, (settings, weights) in kinds.items():
        for weight in weights:
            if (name, weight) != ("standardized", 0.001):  # which is `metats` itself
                found[f"{name}-{weight:g}"] = f"metats: {settings} method.weight_meta={weight:g}"
    return found


def each(method: str, settings: dict[str, str]) -> dict[str, str]:
    """Variants of one method."""
    return {name: f"{method}: {values}" for name, values in settings.items()}


STRONG = ("vat", "bond-soft-high", "smooth-ensemble")

ARMS = {
    "feedback": Arm(
        "what the teacher hears of the student",
        feedback(),
        reference="none",
        judges={"metats": "permuted-0.001"}
        | {f"standardized-{weight}": f"permuted-{weight}" for weight in ("0.01", "0.1")}
        | {f"token-{weight}": f"token-permuted-{weight}" for weight in ("0.1", "1", "10")},
    ),
    "fresh": Arm(
        "feedback from labels that neither network has learned",
        each(
            "metats",
            {
                "fresh": "method.folds=4",
                "fresh-permuted": "method.folds=4 method.feedback.permuted=true",
                "fresh-none": "method.folds=4 method.weight_meta=0",
                "fresh-token-1": "method.folds=4 method.feedback.kind=token method.weight_meta=1",
            },
        ),
        shared=False,
        reference="fresh-none",
        judges={"fresh": "fresh-permuted"},
    ),
    "start": Arm(
        "warm-up of the teacher, start of the student",
        each(
            "metats",
            {
                "no-warm-up": "method.warmup=false",
                "student-from-encoder": "method.student_init=encoder",
                "neither": "method.warmup=false method.student_init=encoder",
                "fixed-teacher": "method.teacher_rate=0",
                "slow-teacher": "method.teacher_rate=0.1",
                "no-finetuning": "method.finetune=false",
            },
        ),
        shared=False,
    ),
    "agreement": Arm(
        "L_reg, the teacher's agreement with itself under noise",
        each(
            "metats",
            {
                "no-L_reg": "method.weight_reg=0",
                "weight-0.3": "method.weight_reg=0.3",
                "weight-1": "method.weight_reg=1",
                "variance-0.1": "method.noise_variance=0.1 method.weight_reg=0.3",
                "variance-1": "method.noise_variance=1 method.weight_reg=0.3",
                "noise-on-all": "method.noise_on=all method.weight_reg=0.3",
                "noise-last": "method.noise_place=last method.weight_reg=0.3",
                "tau-0.4": "method.temperature=0.4 method.weight_reg=0.3",
                "tau-1": "method.temperature=1 method.weight_reg=0.3",
                "epsilon-0": "method.threshold=0 method.weight_reg=0.3",
                "epsilon-0.9": "method.threshold=0.9 method.weight_reg=0.3",
                "kept-only": "method.denominator=kept method.weight_reg=0.3",
                "both-sides": "method.stop_gradient=false method.weight_reg=0.3",
            },
        ),
        reference="weight-0.3",
        judges=dict.fromkeys(("no-L_reg", "weight-0.3", "weight-1"), "metats"),
    ),
    "labels": Arm(
        "hard, sampled and soft labels",
        each("metats", {kind: f"method.labels={kind}" for kind in ("sample", "soft", "reweighted", "soft-high")}),
    ),
    "recipe": Arm(
        "wide noise in L_reg, confident soft labels, and both: `wider-soft-high` is `smooth-metats`",
        each(
            "metats",
            {
                "wide": "method.noise_variance=1 method.weight_reg=0.3",
                "soft-high": "method.labels=soft-high",
                "wide-soft-high": "method.noise_variance=1 method.weight_reg=0.3 method.labels=soft-high",
                "wider": "method.noise_variance=3 method.weight_reg=0.3",
                "wider-soft-high": "method.noise_variance=3 method.weight_reg=0.3 method.labels=soft-high",
            },
        ),
    ),
    "pretraining": Arm(
        "guessing hidden words of the raw text first",
        {
            f"{method}-pretrained": f"{method}: pretraining.steps=3000"
            for method in ("supervised-multi", "bond-soft-high", "metats", "smooth-ensemble")
        },
        methods=("bond-soft-high", "smooth-ensemble"),
        shared=False,
        judges={f"{method}-pretrained": method for method in ("supervised-multi", "bond-soft-high", "smooth-ensemble")},
    ),
    "switches": Arm(
        "what goes beyond the paper, alone and together",
        each(
            "metats",
            {
                "average": "train.average=0.99",
                "blend": "method.blend=true",
                "free": "method.confidence.kind=free",
                "soft": "method.confidence.kind=soft",
                "head-first": "train.head_first=200",
                "all": "train.average=0.99 method.blend=true method.confidence.kind=soft train.head_first=200",
            },
        ),
        methods=("co-teaching", "ensemble"),
        judges={"co-teaching": "metats", "ensemble": "metats"},
    ),
    "dev": Arm(
        "a dev set no larger than the labeled set, which picks the end of every stage and whether raw text is kept at all",
        {f"{method}-matched": f"{method}: data.dev=matched" for method in ("supervised-multi", *STRONG, "metats")},
        methods=STRONG,
        shared=False,
        judges={f"{method}-matched": method for method in ("supervised-multi", *STRONG)},
    ),
    "budget": Arm(
        "as many encoder passes for each as the longest took",
        {},
        methods=(*STRONG, "smooth-metats"),
        equal_budget=True,
        judges=dict.fromkeys(("metats", "smooth-metats", *STRONG), "supervised-multi"),
    ),
    "pool": Arm(
        "how much raw text",
        {
            f"{method}-{count}": f"{method}: data.unlabeled={count}"
            for method in ("metats", "vat", "smooth-ensemble")
            for count in (100, 500, 2000)
        },
        methods=("vat", "smooth-ensemble"),
        judges={f"{method}-{count}": method for method in ("vat", "smooth-ensemble") for count in (100, 500, 2000)},
    ),
}


def main() -> None:
    """Run one arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arm", choices=ARMS, help="; ".join(f"{name}: {arm.about}" for name, arm in ARMS.items()))
    parser.add_argument("data", help="a data folder")
    options, rest = parser.parse_known_args()
    arm = ARMS[options.arm]
    words = ["compare", options.data, "-m", ",".join(arm.rows), "--ours", "metats"]
    for name, settings in arm.variants.items():
        words += ["--variant", f"{name}={settings}"]
    words += ["--shared-start"] * arm.shared + ["--equal-budget"] * arm.equal_budget
    os.execv(sys.executable, [sys.executable, "-m", "fewtag", *words, *rest])


if __name__ == "__main__":
    main()
