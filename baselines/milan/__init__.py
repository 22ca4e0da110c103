"""MILAN: descriptions of highest pointwise mutual information with a neuron's exemplars."""

from baselines.milan.decoding import VARIANTS, Decoding
from baselines.milan.model import Milan, MilanConfig

__all__ = ["VARIANTS", "Decoding", "Milan", "MilanConfig"]
