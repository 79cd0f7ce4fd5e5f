"""Keep what a comparison found: its compare.json goes to benchmarks/results, without the folders of whoever ran it.

    python benchmarks/keep_comparison.py runs/slots slots-minilm

writes benchmarks/results/compare-slots-minilm.json, of which benchmarks/tables.py makes its tables.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Copy one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", type=Path, help="the folder given to fewtag compare -o")
    parser.add_argument("name", help="of the result, e.g. slots-minilm")
    options = parser.parse_args()
    found = json.loads((options.comparison / "compare.json").read_text(encoding="utf-8"))
    words = shlex.split(found["command"])
    places = {index + 1 for index, word in enumerate(words) if word in ("-o", "--out")}
    found["command"] = shlex.join(
        Path(word).name if "/" in word else word
        for at, word in enumerate(words)
        if at not in places and at + 1 not in places and word not in ("-q", "--quiet", "--offline")
    )
    found["derived"] = {}  # made from the runs
    path = RESULTS / f"compare-{options.name}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
