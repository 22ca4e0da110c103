"""How descriptions are scored."""

from milannotations import require_own_packages
from milannotations.no_home import import_nltk

require_own_packages("milannotations")
import_nltk()
