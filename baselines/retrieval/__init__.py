"""Nearest-neighbour retrieval: the annotation of the most similar training neuron."""

from baselines.retrieval.describer import Retrieval

__all__ = ["Retrieval"]
