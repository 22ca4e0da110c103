"""The comparison with the original's code, run against a stand-in for a clone of it.

The stand-in is written here from that code's interface: ``discriminative`` takes a network, a
dataset and a layer, writes ``masks.npy``, and returns objects with ``result`` and ``quantiles``.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = """
import math, pathlib
import numpy, torch
from torch.nn import functional

class Result:
    def __init__(self, values):
        self.values = values
    def result(self):
        return self.values
    def quantiles(self, quantile):
        return self.values[:, None]

def discriminative(model, dataset, layer, results_dir, k, **_):
    kept = []
    hook = model.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    with torch.no_grad():
        for image, _ in dataset:
            model(image[None])
    hook.remove()
    maps = torch.cat(kept).transpose(0, 1)
    ordered = maps.flatten(1).sort(1).values
    levels = ordered[:, math.ceil(0.99 * ordered.shape[1]) - 1] + SHIFT
    peaks, ids = maps.amax((2, 3)).sort(dim=1, descending=True, stable=True)
    peaks, ids = peaks[:, :k], ids[:, :k]
    side = maps.shape[-1]
    at = 2 * ((torch.arange(224) + 0.5) * side / 224 - 0.5) / (side - 1) - 1
    grid = torch.stack([at.expand(224, 224), at[:, None].expand(224, 224)], 2)[None]
    masks = []
    for unit in range(len(maps)):
        large = functional.grid_sample(maps[unit, ids[unit]][:, None], grid.expand(k, -1, -1, -1),
                                       align_corners=True)
        masks.append((large > levels[unit]).numpy())
    folder = pathlib.Path(results_dir) / layer
    folder.mkdir(parents=True)
    numpy.save(folder / "masks.npy", numpy.stack(masks).astype(numpy.uint8))
    return Result((peaks, ids)), Result(levels)
"""


@pytest.fixture
def script() -> Any:
    """Import the script, and forget what it imports from a clone."""
    path = ROOT / "scripts" / "compare_with_original.py"
    spec = importlib.util.spec_from_file_location("compare_with_original", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["compare_with_original"] = module
    before: tuple[dict[str, ModuleType], list[str]] = (dict(sys.modules), list(sys.path))
    spec.loader.exec_module(module)
    yield module
    for name in sys.modules.keys() - before[0].keys():
        if name.split(".")[0] in ("src", "statsmodels"):
            del sys.modules[name]
    sys.path[:] = before[1]
    del sys.modules["compare_with_original"]


def _clone(folder: Path, shift: float) -> Path:
    (folder / "src" / "exemplars").mkdir(parents=True)
    code = STAND_IN.replace("SHIFT", repr(shift))
    (folder / "src" / "exemplars" / "compute.py").write_text(code)
    return folder


def _tables(
    script: Any, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> list[list[str]]:
    monkeypatch.setattr(
        sys, "argv",
        [
            "compare", "--original", str(clone), "--model", "smallnet", "--images", "9",
            "--k", "2", "--batch-size", "1",
        ],
    )  # fmt: skip
    monkeypatch.setitem(script.VARIANTS, "--masks original", {"masks": "original"})
    script.main()
    lines = capsys.readouterr().out.splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line]


def test_equal_sides_are_equal(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rows = _tables(script, _clone(tmp_path / "clone", 0.0), monkeypatch, capsys)
    ours = {(row[0], row[1]): row[2:] for row in rows if len(row) == 6}
    units = {"conv1": 24, "conv2": 40, "conv3": 56, "conv4": 64, "conv5": 64}
    for layer, count in units.items():
        ids, tied, overlap, equal = ours["--masks original", layer]
        same = int(ids.split(" of ")[0])
        assert ids == f"{same} of {count}"
        assert same + int(tied) == count  # silent units tie everywhere
        # Rounding decides where a flat region of an image lies exactly at a threshold.
        assert float(overlap) > 0.99
        assert float(equal.rstrip("%")) > 90
    # Where masks reach the border of the image the other rule differs.
    assert float(ours["--masks bilinear", "conv1"][2]) < float(ours["--masks original", "conv1"][2])
    errors = {row[0]: row[1:] for row in rows if len(row) == 3 and row[0] in units}
    means = [float(cell.split(",")[0]) for cells in errors.values() for cell in cells]
    assert len(means) == 10
    assert max(means) < 0.0005  # rounding, as above
    rule = {row[0]: row[1:] for row in rows if len(row) == 4 and row[0] in units}
    for layer, count in units.items():
        masks, equal, _ = rule[layer]
        assert int(masks) == 2 * len(range(0, count, 4))
        assert int(equal) >= 0.9 * int(masks)
    assert {row[0] for row in rows if len(row) == 2} >= {"the original", "defaults"}


@pytest.mark.slow
def test_other_thresholds_are_seen(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rows = _tables(script, _clone(tmp_path / "clone", 0.5), monkeypatch, capsys)
    errors = {row[0]: row[1:] for row in rows if len(row) == 3 and row[0].startswith("conv")}
    for theirs, ours in errors.values():
        assert float(theirs.split(",")[0]) > 0.001
        assert float(ours.split(",")[0]) < 0.0005
    overlaps = [float(row[4]) for row in rows if len(row) == 6 and "masks" in row[0]]
    assert max(overlaps) < 0.999


def test_a_folder_that_is_no_clone_is_told(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["compare", "--original", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"is no clone of the original"):
        script.main()
