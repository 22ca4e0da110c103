"""Ablation: what a network does without some of its units, fast for many sets of units."""

from milannotations.ablation.ablated import Ablation, LayerUnit, ablated, grouped
from milannotations.ablation.runner import AblationRunner

__all__ = ["Ablation", "AblationRunner", "LayerUnit", "ablated", "grouped"]
