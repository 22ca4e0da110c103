"""Ablation: what a network does without some of its units, for many sets of units, fast."""

from milannotations.ablation.hooks import ablated
from milannotations.ablation.runner import AblationRunner
from milannotations.ablation.sites import Ablation, Site, Unit, grouped, sites_of

__all__ = ["Ablation", "AblationRunner", "Site", "Unit", "ablated", "grouped", "sites_of"]
