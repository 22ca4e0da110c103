"""What a pretrained network sees in the masked-in parts of exemplars."""

from baselines.features.cache import cached_features
from baselines.features.encoder import ENCODERS, EncoderSpec, PyramidEncoder

__all__ = ["ENCODERS", "EncoderSpec", "PyramidEncoder", "cached_features"]
