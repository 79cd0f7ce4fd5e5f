"""Many runs side by side: the grid, the significance of differences, and the paper's tables."""

from fewtag.experiments.comparison import Comparison, compare
from fewtag.experiments.results import Results

__all__ = ["Comparison", "Results", "compare"]
