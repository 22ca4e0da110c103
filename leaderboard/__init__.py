"""Leaderboards: submissions are checked, scored and verified, and results are shown as a site."""

from milannotations import require_own_packages

require_own_packages("applications", "baselines", "benchmark")
