"""Short hashes of what files hold, which tell two folders with the same name apart.

Results name models, never a path on this machine. The name of a folder says too little: training a
second encoder into another folder called ``encoder`` gives a different model.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from milannotations.errors import InputError
from milannotations.pictures import list_files

_CHUNK = 1 << 20
# What transformers and sentence-transformers read: weights, configuration, tokenizers, chat
# templates.
_OF_MODELS = frozenset(
    {".bin", ".jinja", ".json", ".jsonl", ".model", ".pt", ".pth", ".safetensors", ".tiktoken",
     ".txt", ".vocab"}
)  # fmt: skip
# Folders with copies of a model in other formats, which are not read.
_COPIES = frozenset({"coreml", "flax", "onnx", "openvino", "tf"})
_DIGITS = 12  # of hashes in names


def contents_of(path: Path) -> str:
    """Return a hash of a file, or of a folder's files and their names: 16 hex digits.

    Raises:
        InputError: If a file cannot be read.
    """
    if not path.is_dir():
        return _hash([path], path.parent)
    return _hash(list_files(path, hidden=True).paths, path)


def contents_of_model(folder: Path) -> str:
    """Return a hash of a model's weights, configuration and tokenizer: 16 hex digits.

    Copies of the weights in other formats, cards and hidden files do not count.

    Raises:
        InputError: If a file cannot be read.
    """
    paths = [
        path
        for path in list_files(folder).paths
        if path.suffix in _OF_MODELS and not _COPIES & {*path.relative_to(folder).parts[:-1]}
    ]
    # If a folder has both formats, the safe one is read.
    safe = {path.parent for path in paths if path.suffix == ".safetensors"}
    read = [p for p in paths if p.suffix not in (".bin", ".pt", ".pth") or p.parent not in safe]
    return _hash(read, folder)


def name_of_model(name: str) -> str:
    """Return what results call a transformers model: its hub id, or a folder's name and hash.

    Args:
        name: A folder, or OWNER/NAME on the hub.

    Raises:
        InputError: If a file in the folder cannot be read.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return name
    # The parts of a signature are separated by |.
    plain = re.sub(r"[^\w.+-]", "_", folder.resolve().name)
    return f"local:{plain}@{contents_of_model(folder)[:_DIGITS]}"


def contents_named_in(values: Iterable[object]) -> dict[str, str]:
    """Return the hashes of files and folders that options name, by their names.

    A path may be the whole value or, if it contains a slash, part of a value such as
    ``broden:data/broden`` or ``conv5=weights/sae.pt``.

    Raises:
        InputError: If a file cannot be read.
    """
    texts = [value for value in values if isinstance(value, str) and value]
    parts = {piece for text in texts for piece in re.split(r"[:=?&,]", text) if "/" in piece}
    named = sorted({*texts, *parts})
    places = {name: Path(name).expanduser() for name in named if "\0" not in name}
    return {name: contents_of(path) for name, path in places.items() if _is_there(path)}


def _is_there(path: Path) -> bool:
    try:
        return path.is_file() or path.is_dir()
    except OSError:  # a text too long for a path
        return False


def _hash(paths: Iterable[Path], root: Path) -> str:
    digest = hashlib.sha256()
    path = root
    try:
        for path in sorted(paths):
            name = path.relative_to(root).as_posix()
            digest.update(f"{name}\0{path.stat().st_size}\n".encode(errors="surrogateescape"))
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()[:16]
