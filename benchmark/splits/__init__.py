"""Splits into neurons to learn from and neurons to describe: those of the paper, and more."""

from benchmark.splits.definitions import FAMILIES, Selection, Split, published, splits_of

__all__ = ["FAMILIES", "Selection", "Split", "published", "splits_of"]
