"""Contrastive image-text models (CLIP, SigLIP): how well a text goes with exemplars."""

from benchmark.contrastive.model import ContrastiveModel

__all__ = ["ContrastiveModel"]
