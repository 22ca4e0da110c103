"""Safe writing: nothing half-written passes for complete, and nothing is left behind.

``docs/reliability.md`` lists the guarantees.
"""

from milannotations.storage.atomic import atomic_folder, atomic_path, reserved_file
from milannotations.storage.failures import explained, explaining
from milannotations.storage.locks import locked
from milannotations.storage.names import unfinished_folder
from milannotations.storage.resumable import resumable_folder
from milannotations.storage.targets import check_file, check_folder, check_outputs, check_target

__all__ = [
    "atomic_folder",
    "atomic_path",
    "check_file",
    "check_folder",
    "check_outputs",
    "check_target",
    "explained",
    "explaining",
    "locked",
    "reserved_file",
    "resumable_folder",
    "unfinished_folder",
]
