"""A user's own files with the names of our packages.

``benchmark``, ``baselines``, ``applications`` and ``leaderboard`` are names that a user's own files
may have as well, and Python prefers those of the working folder. The command line puts our packages
first. A program or notebook gets an error that names the file, as soon as our code needs the
package that the file hides.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from milannotations.errors import InputError

_ROOT = Path(__file__).resolve().parents[1]


class ShadowedPackageError(InputError, ImportError):
    """A file of the user's is imported in place of one of our packages."""


def require_own_packages(*names: str) -> None:
    """Check that the packages of these names are ours.

    >>> require_own_packages("benchmark", "baselines")

    Raises:
        ShadowedPackageError: If one is another file or folder; names it.
    """
    for name in names:
        folder = _location(name)
        if folder is not None and folder.resolve() != _ROOT / name:
            raise ShadowedPackageError(
                f"{folder} hides the package {name!r} of milannotations: rename it, or run Python "
                "in another folder"
            )


def put_own_packages_first() -> None:
    """Have Python look for packages beside ours before it looks in the working folder."""
    if sys.path[:1] != [str(_ROOT)]:
        sys.path.insert(0, str(_ROOT))


def _location(name: str) -> Path | None:
    """Return the file, or the folder of the package, that an import of that name gives."""
    module = sys.modules.get(name)
    spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin else None
