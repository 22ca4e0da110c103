"""Ablation: what a network does without some of its units, fast for many sets of units."""

from milannotations.ablation.ablated import Ablation, Unit, ablated, grouped
from milannotations.ablation.runner import AblationRunner

__all__ = ["Ablation", "AblationRunner", "Unit", "ablated", "grouped"]
