"""Readers of YAML, of lists of images, of plain numbers, of names of classes, and of options."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from applications.class_folders import named_values
from leaderboard.submission.metadata import read_submission
from leaderboard.submission.package import METADATA, open_package
from leaderboard.submission.problems import Problems
from milannotations.attach.checks import check_source
from milannotations.errors import InputError
from milannotations.options import read_options
from milannotations.release.archive import open_files
from milannotations.release.layout import read_layout
from milannotations.viewer.facts import IMAGES, read_image_names
from tests.bad_inputs.cases import reader


@reader("leaderboard validate submission.yaml", "submission")
def submission(path: Path, work: Path) -> Any:
    """Return the field of the last line, which is the one that these files are about."""
    shutil.copy(path, work / METADATA)
    problems = Problems()
    package = open_package(work, problems)
    submission = None if package.metadata is None else read_submission(package.metadata, problems)
    if problems or submission is None or package.metadata is None:
        raise InputError("\n".join(problems.lines()))
    last = package.metadata.decode().splitlines()[-1].partition(":")[0]
    return submission.model_dump(mode="json")[last]


@reader("view images.csv", "listing")
def image_names(path: Path, work: Path) -> Any:
    (work / IMAGES).symlink_to(path)
    return read_image_names([work], {0, 1})


class _TwoImages:
    """A source of two images whose names are not known."""

    has_names, title = True, "images"

    def __len__(self) -> int:
        return 2

    def name(self, index: int) -> None:
        return None


@reader("attach-images images.csv", "listing")
def attached(path: Path, work: Path) -> Any:
    source: Any = _TwoImages()
    check_source(source, None, [], path)
    return None


@reader("import-release ids.csv, activations.csv", "numbers")
def release_numbers(path: Path, work: Path) -> Any:
    layer = work / "release" / "conv1"
    layer.mkdir(parents=True)
    np.save(layer / "masks.npy", np.ones((2, 2, 1, 4, 4), dtype=np.uint8))
    kind = path.name.partition("-")[0]
    shutil.copy(path, layer / f"{kind}.csv")
    with closing(open_files(work / "release")) as files:
        return getattr(read_layout(files).layers[0], kind)


@reader("experiment --class-names CSV", "names")
def class_names_in_csv(path: Path, work: Path) -> Any:
    return named_values(path, "names")


@reader("--option", "options")
def option(path: Path, work: Path) -> Any:
    return read_options([path.read_text(encoding="utf-8")])
