"""Which descriptions a submission may hold: valid ones, short enough to be shown on a page."""

from __future__ import annotations

from milannotations import texts
from milannotations.texts import is_blank

__all__ = ["MAX_DESCRIPTION", "fault_of", "is_blank"]

MAX_DESCRIPTION = 1000  # characters; the longest human annotation has 67 words


def fault_of(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """Return what is wrong with a text; empty if nothing is.

    >>> fault_of("a dog")
    ''
    >>> fault_of("x" * 2000)
    'has 2,000 characters; at most 1,000 are taken'
    """
    return texts.fault_of(text, limit)
