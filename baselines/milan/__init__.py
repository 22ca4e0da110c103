"""MILAN: descriptions of highest pointwise mutual information with a neuron's exemplars."""

from baselines.milan.config import MilanConfig
from baselines.milan.decoding import VARIANTS, Decoding
from baselines.milan.model import Milan
from baselines.milan.output import MilanOutput

__all__ = ["VARIANTS", "Decoding", "Milan", "MilanConfig", "MilanOutput"]
