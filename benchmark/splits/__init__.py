"""Which neurons are learnt from and which are described: the splits of the paper, and more."""

from benchmark.splits.definitions import FAMILIES, Selection, Split, published, splits_of

__all__ = ["FAMILIES", "Selection", "Split", "published", "splits_of"]
