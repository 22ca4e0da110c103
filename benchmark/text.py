"""How text is prepared before any metric sees it: the same for predictions and references."""

from __future__ import annotations

import string


def normalize(text: str) -> str:
    """Lower-case and strip spaces and full stops at both ends (as the MILAN paper's scores do).

    >>> normalize(" Dog faces. ")
    'dog faces'
    """
    return text.lower().strip(string.whitespace + ".")
