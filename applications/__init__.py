"""Applications of descriptions: what one learns of a network from them, and does to it."""

from milannotations import require_own_packages
from milannotations.no_home import import_nltk

require_own_packages("baselines", "benchmark")
import_nltk()
