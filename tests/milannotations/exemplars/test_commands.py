"""``milannotations build`` and ``merge`` as they are typed."""

from __future__ import annotations

from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from milannotations.errors import InputError
from milannotations.exemplars.commands import app as build_app
from milannotations.exemplars.merge_commands import app as merge_app
from tests.milannotations.exemplars.test_resume import contents, load_rows

COLOURS = ["--model", "tests.milannotations.exemplars.networks:colours", "--device", "cpu"]
LAMPS = ["--model", "tests.milannotations.exemplars.test_generators:lamps", "--device", "cpu"]
SMALL = ["--k", "3", "--size", "32", "--image-format", "png", "--batch-size", "4"]


def _run(app: object, *arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None:
        raise result.exception
    return " ".join(result.output.split())


def _built(out: Path, *arguments: str) -> str:
    return _run(build_app, *arguments, *SMALL, "--out", str(out))


def test_shards_and_merge(squares: Path, tmp_path: Path) -> None:
    images = ["--images", str(squares), "--layers", "conv,relu"]
    said = _built(tmp_path / "whole", *COLOURS, *images)
    assert "4 units of 2 layers, 3 exemplars each of 30 images (0 left out)" in said
    for shard in ("2/2", "1/2"):
        said = _built(tmp_path / "shards", *COLOURS, *images, "--shard", shard)
        assert f"shard-0000{shard[0]}-of-00002.safetensors" in said
    _run(
        merge_app, str(tmp_path / "shards"), "--images", str(squares), "--out",
        str(tmp_path / "merged"), "--size", "32", "--image-format", "png",
    )  # fmt: skip
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")


def test_a_generator_from_latents_in_one_go_and_in_shards(tmp_path: Path) -> None:
    latents = ["--latents", "24", "--seed", "7", "--truncation", "1.5"]
    said = _built(tmp_path / "whole", *LAMPS, *latents)
    assert "4 units of 1 layers, 3 exemplars each of 24 images" in said
    for shard in ("1/2", "2/2"):
        _built(tmp_path / "shards", *LAMPS, *latents, "--shard", shard)
    options = ["--out", str(tmp_path / "merged"), "--size", "32", "--image-format", "png"]
    _run(merge_app, str(tmp_path / "shards"), *LAMPS[:2], *options)
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    with pytest.raises(InputError, match="give --images, or for a generator"):
        _run(merge_app, str(tmp_path / "shards"), *options, "--overwrite")
    with pytest.raises(InputError, match="are not of a generator"):
        _run(merge_app, str(tmp_path / "shards"), *COLOURS[:2], *options, "--overwrite")


def test_generators_want_latents_and_networks_images(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="say with --latents how many"):
        _built(tmp_path / "out", *LAMPS)
    with pytest.raises(InputError, match="colours takes images"):
        _built(tmp_path / "out", *COLOURS, "--latents", "5", "--layers", "conv")


def test_latents_of_an_autoencoder_are_units(squares: Path, tmp_path: Path) -> None:
    # The first latent is red, the second green, the third both, and their own bias.
    weights = {
        "W_enc": torch.tensor([[1.0, 0, 1], [0, 1, 1]]),
        "b_enc": torch.tensor([0.0, 0, 1]),
    }
    save_file(weights, tmp_path / "sae.safetensors")
    images = ["--images", str(squares), "--sae", f"relu={tmp_path / 'sae.safetensors'}"]
    _built(tmp_path / "out", *COLOURS, *images)
    _built(tmp_path / "plain", *COLOURS, "--images", str(squares), "--layers", "relu")
    red, green, both = load_rows(tmp_path / "out")
    for latent, unit in zip((red, green), load_rows(tmp_path / "plain"), strict=True):
        for column in ("image_ids", "activations", "threshold", "masks"):
            assert latent[column] == unit[column]
    assert both["activations"][0] == pytest.approx(1 + green["activations"][0])
    (file,) = (tmp_path / "out" / "data").glob("*.parquet")
    assert set(pq.read_table(file)["layer"].to_pylist()) == {"relu@sae"}


def test_images_of_a_data_set_that_datasets_reads(squares: Path, tmp_path: Path) -> None:
    files = sorted(squares.glob("*.png"))
    pictures = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    rows = datasets.Dataset.from_dict({"picture": pictures})
    (tmp_path / "hub").mkdir()
    rows.cast_column("picture", datasets.Image()).to_parquet(tmp_path / "hub" / "train.parquet")
    _built(tmp_path / "out", *COLOURS, "--images", f"hf:{tmp_path / 'hub'}", "--layers", "relu")
    _built(tmp_path / "plain", *COLOURS, "--images", str(squares), "--layers", "relu")
    assert load_rows(tmp_path / "out") == load_rows(tmp_path / "plain")
    with pytest.raises(InputError, match="'nowhere' of the dataset"):
        _built(tmp_path / "x", *COLOURS, "--images", f"hf:{tmp_path / 'hub'}:nowhere")


def test_pictures_that_a_data_set_only_names_stay_closed(squares: Path, tmp_path: Path) -> None:
    paths = [{"bytes": None, "path": str(path)} for path in sorted(squares.glob("*.png"))]
    rows = datasets.Dataset.from_dict({"picture": paths}).cast_column("picture", datasets.Image())
    (tmp_path / "hub").mkdir()
    rows.to_parquet(tmp_path / "hub" / "train.parquet")
    with pytest.raises(InputError, match=r"none of the 30 images.*00\.png, outside of the dataset"):
        _built(tmp_path / "out", *COLOURS, "--images", f"hf:{tmp_path / 'hub'}", "--layers", "relu")


def test_half_precision_and_channels_last_find_the_same_images(
    squares: Path, tmp_path: Path
) -> None:
    images = ["--images", str(squares), "--layers", "relu"]
    _built(tmp_path / "plain", *COLOURS, *images)
    _built(tmp_path / "half", *COLOURS, *images, "--dtype", "bf16", "--channels-last")
    for half, plain in zip(
        load_rows(tmp_path / "half"), load_rows(tmp_path / "plain"), strict=True
    ):
        assert half["image_ids"][0] == plain["image_ids"][0]
        assert half["activations"] == pytest.approx(plain["activations"], rel=0.02, abs=0.01)


def test_layouts_can_be_said(squares: Path, tmp_path: Path) -> None:
    images = ["--images", str(squares), "--layers", "relu"]
    _built(tmp_path / "out", *COLOURS, *images, "--layout", "relu=spatial:64x64")
    with pytest.raises(InputError, match="not 8 × 8"):
        _built(tmp_path / "other", *COLOURS, *images, "--layout", "relu=spatial:8x8")


def test_layers_must_be_known_or_named(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no layers are known"):
        _built(tmp_path / "out", *COLOURS, "--images", str(squares))
