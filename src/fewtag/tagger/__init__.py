"""Encoder + head = a tagger."""

from fewtag.tagger.batch import Batch, Batcher
from fewtag.tagger.decode import Prediction
from fewtag.tagger.tagger import Tagger

__all__ = ["Batch", "Batcher", "Prediction", "Tagger"]
