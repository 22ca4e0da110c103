"""Features of a pretrained network in the unmasked regions of exemplars."""

from baselines.features.cache import cached_features
from baselines.features.encoder import ENCODERS, EncoderSpec, PyramidEncoder

__all__ = ["ENCODERS", "EncoderSpec", "PyramidEncoder", "cached_features"]
