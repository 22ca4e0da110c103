"""Contrastive image-text models (CLIP, SigLIP): how well a text goes with exemplars."""

from baselines.contrastive.model import ContrastiveModel

__all__ = ["ContrastiveModel"]
