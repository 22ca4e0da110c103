"""The authors' published models by name, and checkpoints by URL: downloaded and converted once.

A name is that of a group of releases (``base``), with ``+clip`` appended for reranking by CLIP.
Checkpoints are downloaded like releases: from mirrors first, and resumed after an interruption. As
the authors publish no checksums, later files must have the SHA-256 of the first complete file.
Converted models are kept below ``MILANNOTATIONS_HOME`` and need no network from then on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from baselines.milan.checkpoint import PUBLISHED, group_of
from baselines.milan.config import ClipSpec, MilanConfig
from baselines.milan.decoding import Decoding
from baselines.milan.model_folder import CONFIG
from milannotations.data_home import home, make_folder
from milannotations.download.checksums import recorded
from milannotations.download.transfer import Wanted, check_web, fetch_file
from milannotations.errors import InputError, did_you_mean
from milannotations.storage import locked
from milannotations.terminal import Console

CLIP_SUFFIX = "+clip"
# As in the original's ``DecoderWithCLIP``: token-wise mutual information with λ = .5 in a beam of
# 1,000, and reranking by ViT-B/32 with a weight of 1 for the whole image.
CLIP = ClipSpec(model="openai/clip-vit-base-patch32", weight=1.0)
CLIP_DECODING = Decoding(strategy="beam", pmi=0.5, beam=1000)
LICENCE = (
    "by Hernandez et al. (2022); their code is under the MIT licence, and they state none for the "
    "weights"
)
Convert = Callable[[Path, str | None, Path], None]
_WEB = re.compile(r"[a-z]+://", re.IGNORECASE)


def is_published(source: str) -> bool:
    """Return whether a source is a published model's name or a URL, ``+clip`` or not."""
    name = source.removesuffix(CLIP_SUFFIX)
    return name in PUBLISHED or bool(_WEB.match(name))


def published_folder(source: str, convert: Convert, force: bool = False) -> Path:
    """Return the folder of a published model, which is downloaded and converted if need be.

    Args:
        source: A name, as ``base``, or the URL of a checkpoint; ``+clip`` is ignored.
        convert: Makes a model's folder of a checkpoint: takes the file, the group of releases that
            it was trained on (None where unknown), and the folder.
        force: Download and convert it again, and accept another checksum.

    Raises:
        InputError: If there is no such name, the file cannot be downloaded, its checksum is not the
            recorded one, or it is not a checkpoint of the original.
    """
    name = source.removesuffix(CLIP_SUFFIX)
    wanted, group = _wanted(name)
    target = home() / "models" / wanted.file.removesuffix(".pth")
    if not force and (target / CONFIG).is_file():
        return target
    make_folder(target.parent)
    with locked(target, wait=True):
        # Another process may have downloaded it in the meantime.
        if force or not (target / CONFIG).is_file():
            path = _fetched(name, wanted, force)
            convert(path, group, target)
    return target


def _fetched(name: str, wanted: Wanted, force: bool) -> Path:
    """Download a checkpoint, and print its licence and checksum."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    path = fetch_file(wanted, force=force)
    checksum = recorded(wanted.name)
    digest = checksum.sha256 if checksum else "unknown"
    by = f" {LICENCE}" if name in PUBLISHED else ""
    console.print(
        f"{wanted.url}:{by}; SHA-256 {digest}, recorded when it was first fetched", markup=False
    )
    return path


def with_clip(config: MilanConfig) -> MilanConfig:
    """Return the configuration of a ``+clip`` variant: the original's search and reranker.

    Raises:
        InputError: If the model has no language model.
    """
    if config.language_model is None:
        raise InputError(f"{CLIP_SUFFIX} searches by mutual information, and needs p(d)")
    decoding = CLIP_DECODING.model_copy(update={"length": config.decoding.length})
    return config.model_copy(update={"clip": CLIP, "decoding": decoding})


def _wanted(name: str) -> tuple[Wanted, str | None]:
    if name in PUBLISHED:
        url = PUBLISHED[name]
        file = url.rpartition("/")[2]
        remedy = (
            f"get {file} in another way and run: milannotations import-checkpoint PATH --out FOLDER"
        )
        return Wanted(file, file, url, remedy), name
    if not _WEB.match(name):
        hint = did_you_mean(name, PUBLISHED)
        raise InputError(
            f"no published model is named {name!r}{hint} (known: {', '.join(PUBLISHED)}, each also "
            f"with {CLIP_SUFFIX})"
        )
    check_web(name)
    # Different URLs may have the same last part, so the file name has a hash of the whole URL.
    last = unquote(urlsplit(name).path).rpartition("/")[2]
    stem = re.sub(r"[^\w.-]", "_", last.removesuffix(".pth"))[:60].strip("._") or "model"
    file = f"{stem}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.pth"
    remedy = "get it in another way and name the file in place of the URL"
    return Wanted(file, file, name, remedy, mirrored=False), group_of(last)


def checkpoint_file(source: str) -> Path:
    """Return the file of a checkpoint, which a URL or the name of a published model downloads.

    Raises:
        InputError: If the file cannot be downloaded.
    """
    if Path(source).exists() or not is_published(source):
        return Path(source)
    return fetch_file(_wanted(source)[0])
