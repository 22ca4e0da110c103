"""Binary inputs that are too large to be kept as files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pyarrow as pa
import torch

from tests.bad_inputs.cases import recipe
from tests.milannotations.parquet import bombs

_MEBIBYTE = bytes(2**20)


@recipe("zip", "bomb.zip")
def bomb(path: Path) -> None:
    """300 MB of zeros, and a directory that tells it."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("latents.npy", "w") as member,
    ):
        for _ in range(300):
            member.write(_MEBIBYTE)


@recipe("checkpoint", "unpacks-to-300-mb.pt")
def checkpoint(path: Path) -> None:
    """A sound checkpoint, packed anew, with a member of zeros."""
    stream = io.BytesIO()
    torch.save({"weight": torch.ones(3, 4), "bias": torch.ones(3)}, stream)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with zipfile.ZipFile(stream) as sound:
            for member in sound.infolist():
                archive.writestr(member.filename, sound.read(member))
        with archive.open("archive/data/9", "w") as large:
            for _ in range(300):
                large.write(_MEBIBYTE)


@recipe("parquet", "one-long-text.parquet")
def long_text(path: Path) -> None:
    """Ten thousand descriptions of a megabyte each, held once."""
    path.write_bytes(bombs.words_bomb())


@recipe("parquet", "many-columns.parquet")
def many_columns(path: Path) -> None:
    """Two thousand columns."""
    path.write_bytes(bombs.written(pa.table({f"c{at}": [1] for at in range(2000)})))


@recipe("records", "one-picture-everywhere.parquet")
def one_picture(path: Path) -> None:
    """A thousand records that show one picture of a megabyte fifteen times each."""
    path.write_bytes(bombs.RECORD_BOMBS["one picture everywhere"]())


@recipe("records", "one-annotation-everywhere.parquet")
def one_annotation(path: Path) -> None:
    """A thousand records with one annotation of two megabytes."""
    path.write_bytes(bombs.RECORD_BOMBS["one annotation everywhere"]())
