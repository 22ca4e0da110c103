"""Libraries that need a home folder to be imported, for users who have none, as in containers."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

__all__ = ["import_nltk"]


def import_nltk() -> None:
    """Import nltk if this user has no home folder, without which it raises an error.

    While it is imported, the root folder stands in: nltk only joins names to it. For users with a
    home folder nothing is imported.
    """
    try:
        Path.home()
    except RuntimeError:
        if "nltk" in sys.modules:
            return
        os.environ["HOME"] = "/"
        try:
            importlib.import_module("nltk")
        finally:
            del os.environ["HOME"]
