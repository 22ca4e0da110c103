"""Which texts a submission may hold: as any description, and of a length that pages can show."""

from __future__ import annotations

from milannotations import texts
from milannotations.texts import is_blank

__all__ = ["MAX_DESCRIPTION", "fault_of", "is_blank"]

MAX_DESCRIPTION = 1000  # characters; the longest human annotation has 67 words


def fault_of(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """Say what is wrong with a text; empty if nothing is."""
    return texts.fault_of(text, limit)
