"""Results in, one self-contained page out."""

from milannotations import require_own_packages

require_own_packages("applications", "baselines", "benchmark")
