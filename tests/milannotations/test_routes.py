"""All seven configs, by every route, on the oldest and the newest ``datasets`` that is admitted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from milannotations.catalog.releases import RELEASES, SOURCES
from milannotations.loading import load_split
from milannotations.release.facts import read_facts
from milannotations.release.importer import import_release
from milannotations.release_export.exporter import export_release
from milannotations.worlds.release import SOURCE_IMAGES, write_release

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated releases of the published shapes, with small pictures, installed."""
    assert min(source.images for source in SOURCES.values()) >= SOURCE_IMAGES
    work = tmp_path_factory.mktemp("seven")
    for config, release in RELEASES.items():
        source = work / "releases" / config
        write_release(source, release.layers, k=3, size=12, images=release.has_images)
        import_release(source, work / "home" / "configs" / config)
    return work


def _run(home: Path, libraries: Path | None) -> dict[str, object]:
    paths = [str(libraries)] if libraries else []
    environment = os.environ | {
        "MILANNOTATIONS_HOME": str(home / "home"),
        "HF_HOME": str(home / "huggingface" / (libraries.name if libraries else "newest")),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([*paths, str(ROOT)]),
    }
    program = Path(__file__).with_name("routes.py")
    run = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, object] = json.loads(run.stdout.splitlines()[-1])
    return found


def test_newest(home: Path) -> None:
    assert _run(home, None)["configs"] == 7


def test_oldest(home: Path, tmp_path: Path) -> None:
    """The oldest that pyproject.toml admits, installed for this test alone."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(r'"datasets>=([\d.]+)"', text)
    assert match is not None
    target = tmp_path / "oldest"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--target", str(target), f"datasets=={match[1]}"],
        check=True,
    )  # fmt: skip
    assert _run(home, target) == {"datasets": match[1], "configs": 7}


@pytest.mark.parametrize("config", RELEASES)
def test_round_trip(
    home: Path, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(home / "home"))
    folder = home / "home" / "configs" / config
    facts = read_facts(folder)
    assert facts is not None
    back = tmp_path / config
    export_release(
        load_split(config), back, masks=facts.masks, annotations=folder / "annotations.csv"
    )
    source = home / "releases" / config
    names = {p.relative_to(source) for p in source.rglob("*") if p.is_file()}
    assert names == {p.relative_to(back) for p in back.rglob("*") if p.is_file()}
    for name in names:
        assert (back / name).read_bytes() == (source / name).read_bytes(), name
