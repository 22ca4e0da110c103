"""Labels and formulas as texts: for people, and as the MILAN paper compares them."""

from __future__ import annotations

import re

NOTHING = "nothing"  # the description of a unit that is never activated, or overlaps no label
# Broden marks texture, scene and colour labels by a final letter.
_SUFFIX = re.compile(r"-[a-z]$")


def plain(label: str) -> str:
    """Return a label without the marks of its data set.

    >>> plain("swimming_pool-s")
    'swimming pool'
    """
    return _SUFFIX.sub("", label).replace("_", " ").strip()


def milan_label(label: str) -> str:
    """Return a label as the MILAN paper's code compares Network Dissection: up to the first hyphen.

    >>> milan_label("tree-t")
    'tree'
    """
    return label.split("-")[0]


def milan_formula(formula: str) -> str:
    """Return a formula as the MILAN paper's code compares Compositional Explanations.

    In lower case, without parentheses, with spaces for hyphens and underscores, and without the
    single letters of Broden's suffixes.

    >>> milan_formula("((street-s OR swimming_pool) AND (NOT red-c))")
    'street or swimming pool and not red'
    """
    text = formula.lower().replace("(", "").replace(")", "")
    text = text.replace("-", " ").replace("_", " ")
    return re.sub(r"\W+[stc](?:$|\W+)", " ", text).strip()
