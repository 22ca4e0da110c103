"""Latents from files: the same exemplars as of those that were drawn, and clear refusals."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from milannotations.errors import InputError
from milannotations.exemplars.latents import GivenLatents, read_latents, write_latents
from milannotations.exemplars.merge_commands import app as merge_app
from milannotations.inputs.generators import Latents, LatentSpace
from tests.milannotations.exemplars.test_commands import LAMPS, _built, _run
from tests.milannotations.exemplars.test_generators import SPACE, Lamps
from tests.milannotations.exemplars.test_resume import load_rows

DRAWN = Latents(Lamps(), SPACE, 20, seed=3)


def _read(path: Path, space: LatentSpace = SPACE) -> GivenLatents:
    return read_latents(path, Lamps(), space, seed=3)


def _same(given: Latents, count: int = 20) -> None:
    assert len(given) == count
    for index in range(count):
        for one, other in zip(given.inputs(index), DRAWN.inputs(index), strict=True):
            assert torch.equal(one, other)
            assert one.dtype == other.dtype


def _arrays() -> tuple[np.ndarray, np.ndarray]:
    pairs = [DRAWN.inputs(index) for index in range(20)]
    return (
        torch.stack([pair[0] for pair in pairs]).numpy(),
        torch.stack([pair[1] for pair in pairs]).numpy(),
    )


def test_what_is_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    write_latents(DRAWN, tmp_path / "all.npz")
    given = _read(tmp_path / "all.npz")
    _same(given)
    assert given.name(2) == DRAWN.name(2).replace("seed-3", "given")
    assert np.array_equal(np.asarray(given.image(4)), np.asarray(DRAWN.image(4)))
    _same(pickle.loads(pickle.dumps(given)))
    with pytest.raises(InputError, match=r"ends in \.npz"):
        write_latents(DRAWN, tmp_path / "all.npy")


def test_arrays_of_all_kinds(tmp_path: Path) -> None:
    latents, classes = _arrays()
    np.save(tmp_path / "a.npy", latents.astype(np.float64))
    _same(_read(tmp_path / "a.npy"))  # the classes are drawn from the same seed
    np.savez(tmp_path / "b.npz", latents=latents.reshape(20, 4, 1, 1), classes=classes[:, None])
    _same(_read(tmp_path / "b.npz"))
    one_hot = np.eye(2, dtype=np.int64)[classes]
    # As the original stores them: a folder of tensors, of which the floating-point ones are z.
    for name, labels in (("numbers", classes), ("one-hot", one_hot)):
        folder = tmp_path / f"biggan-zs-{name}"
        folder.mkdir()
        torch.save(torch.from_numpy(labels), folder / "a.pth")
        torch.save(torch.from_numpy(latents), folder / "b.pth")
        (folder / "notes.txt").touch()
        _same(_read(folder))


def test_identity_follows_the_content(tmp_path: Path) -> None:
    latents, classes = _arrays()
    identities = []
    for number, labels in enumerate((classes, 1 - classes)):
        np.savez(tmp_path / f"{number}.npz", latents=latents, classes=labels)
        identities.append(_read(tmp_path / f"{number}.npz").identity())
    np.savez(tmp_path / "2.npz", latents=latents + 1, classes=classes)
    identities += [_read(tmp_path / "2.npz").identity(), DRAWN.identity()]
    assert all(a != b for i, a in enumerate(identities) for b in identities[:i])


def test_what_cannot_be_used(tmp_path: Path) -> None:
    latents, classes = _arrays()

    def refused(match: str, space: LatentSpace = SPACE, **arrays: np.ndarray) -> None:
        np.savez(tmp_path / "x.npz", **arrays)
        with pytest.raises(InputError, match=match):
            _read(tmp_path / "x.npz", space)

    refused(
        r"shape \(20, 4\); this generator takes .* \(5,\)", LatentSpace((5,), 2), latents=latents
    )
    refused("it must be floating point", latents=classes)
    refused("it must be floating point, one latent per row", latents=latents[:0])
    refused("hold NaN or infinity", latents=latents * np.nan)
    refused("holds the arrays .'zs'., not 'latents'", zs=latents)
    refused("have 7 classes of 20 latents", latents=latents, classes=classes[:7])
    refused("have classes of type float", latents=latents, classes=classes / 2)
    refused("classes 0 to 5; this generator has 2", latents=latents, classes=classes * 5)
    refused("this generator takes none", LatentSpace((4,)), latents=latents, classes=classes)
    with pytest.raises(InputError, match="do not exist; --latents takes a number"):
        _read(tmp_path / "none.npy")
    (tmp_path / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00half")
    with pytest.raises(InputError, match=r"cannot be read: .*damaged\.npy is no readable"):
        _read(tmp_path / "damaged.npy")
    np.save(tmp_path / "objects.npy", np.array([{"run": "me"}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"objects\.npy holds object"):
        _read(tmp_path / "objects.npy")
    folder = tmp_path / "zs"
    folder.mkdir()
    with pytest.raises(InputError, match="hold 0 floating-point and 0 other tensors"):
        _read(folder)
    torch.save({"z": torch.zeros(2, 4)}, folder / "z.pth")
    with pytest.raises(InputError, match="hold a dict, not one tensor"):
        _read(folder)
    (folder / "z.pth").write_bytes(pickle.dumps(Path("x")))
    with pytest.raises(InputError, match="cannot be read as a tensor"):
        _read(folder)


def test_a_build_exports_its_latents_and_another_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "zs.npz"
    _built(tmp_path / "drawn", *LAMPS, "--latents", "12", "--export-latents", str(file))
    _built(tmp_path / "given", *LAMPS, "--latents", str(file))
    assert load_rows(tmp_path / "given") == load_rows(tmp_path / "drawn")
    with (tmp_path / "given" / "images.csv").open() as listing:
        assert next(csv.DictReader(listing))["name"].startswith("given/latent-000000")
    for shard in ("1/2", "2/2"):
        _built(tmp_path / "shards", *LAMPS, "--latents", str(file), "--shard", shard)
    options = ["--size", "64", "--out", str(tmp_path / "merged"), *LAMPS[:2]]
    with pytest.raises(InputError, match="not the images of the shards"):
        _run(merge_app, str(tmp_path / "shards"), *options)
    _run(merge_app, str(tmp_path / "shards"), *options, "--latents", str(file))
    assert [r["image_ids"] for r in load_rows(tmp_path / "merged")] == [
        r["image_ids"] for r in load_rows(tmp_path / "drawn")
    ]
    for options, match in (
        (["--latents", str(file), "--truncation", "1"], "--truncation is for latents that are dr"),
        (["--latents", "12", "--export-latents", str(file)], "exists; choose another"),
    ):
        with pytest.raises(InputError, match=match):
            _built(tmp_path / "other", *LAMPS, *options)
