"""Nearest-neighbour retrieval: say what was said of the most similar training neuron."""

from baselines.retrieval.describer import Retrieval

__all__ = ["Retrieval"]
