"""Applications of descriptions: what one learns of a network from them, and does to it."""

from milannotations import require_own_packages

require_own_packages("baselines", "benchmark")
