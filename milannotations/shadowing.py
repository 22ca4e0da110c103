"""The user's files that have the same names as our packages.

The names ``benchmark``, ``baselines``, ``applications`` and ``leaderboard`` are common, and Python
prefers a file in the working folder to an installed package. The command line searches for our
packages first. In a program or a notebook, importing a package that needs a hidden package raises
an error that names the file.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from milannotations.errors import InputError

_ROOT = Path(__file__).resolve().parents[1]


class ShadowedPackageError(InputError, ImportError):
    """One of the user's files would be imported instead of one of our packages."""


def require_own_packages(*names: str) -> None:
    """Check that imports of these names would give our packages.

    >>> require_own_packages("benchmark", "baselines")

    Raises:
        ShadowedPackageError: If a name belongs to another file or folder, which the message names.
    """
    for name in names:
        folder = _location(name)
        if folder is not None and folder.resolve() != _ROOT / name:
            raise ShadowedPackageError(
                f"{folder} hides the package {name!r} of milannotations: rename it, or run Python "
                "in another folder"
            )


def put_own_packages_first() -> None:
    """Make Python search the folder of our packages before the working folder."""
    if sys.path[:1] != [str(_ROOT)]:
        sys.path.insert(0, str(_ROOT))


def _location(name: str) -> Path | None:
    """Return the file or folder that an import of the name would load; None if there is none."""
    module = sys.modules.get(name)
    spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin else None
