"""Describers: things that turn exemplars into words."""

from milannotations import require_own_packages

require_own_packages("benchmark")
