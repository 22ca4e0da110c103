"""How descriptions are scored."""

from milannotations import require_own_packages

require_own_packages("milannotations")
