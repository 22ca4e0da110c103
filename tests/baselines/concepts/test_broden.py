from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baselines.concepts.broden import Broden
from baselines.concepts.packing import packed
from milannotations.errors import InputError
from milannotations.worlds.broden import broden_entries, write_broden
from milannotations.worlds.scenes import make_scene

SCENES = 12


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broden") / "broden1_224"
    write_broden(folder, 0, SCENES, first=250)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy that may be spoiled."""
    import shutil

    return Path(shutil.copytree(written, tmp_path / "broden"))


def numbers_of(source: Broden) -> np.ndarray:
    return np.array([0, *(c.number for c in source.concepts)])


def test_every_pixel_and_every_label_of_the_image_is_read(written: Path) -> None:
    source = Broden(written)
    by_name = {c.name: c.number for c in source.concepts}
    assert min(by_name.values()) == 250
    assert max(by_name.values()) > 256  # the green channel is needed
    assert len(source) == SCENES
    channels = 0
    for index in range(SCENES):
        entries = broden_entries(make_scene(0, index), index, by_name, (112, 112))
        maps, whole = [], []
        for category in source.categories:
            for entry in entries.get(category, ()):
                if isinstance(entry, int):
                    whole += [entry] if entry else []
                else:
                    maps.append(entry)
        labels = source.labels(index)
        np.testing.assert_array_equal(numbers_of(source)[labels.pixels], np.array(maps))
        assert sorted(numbers_of(source)[list(labels.whole)]) == sorted(whole)
        channels = max(channels, len(maps))
    assert channels == 5  # two of objects, two of parts, one of colours
    assert source.image(0).size == (224, 224)
    assert source.name(3) == "00003.jpg"
    assert source.shape == (112, 112)


def test_a_label_belongs_to_the_category_in_which_it_covers_most(folder: Path) -> None:
    def category_of(name: str) -> str:
        return next(c.category for c in Broden(folder).concepts if c.name == name)

    assert category_of("outline") == "part"
    rewrite(folder / "c_object.csv", lambda row: row | {"coverage": "99.5"})
    assert category_of("outline") == "object"
    # Of equals the category that comes last, as in the original code.
    rewrite(folder / "c_part.csv", lambda row: row | {"coverage": "99.5"})
    assert category_of("outline") == "part"


def test_a_subset_of_the_index_and_of_the_categories(written: Path) -> None:
    assert len(Broden(written, "index_ade20k.csv")) == SCENES // 2
    textures = Broden(written, categories=["texture"])
    assert textures.categories == ("texture",)
    assert len(textures) == len(range(0, SCENES, 3))  # images without any are left out
    assert textures.labels(0).pixels.shape == (0, 112, 112)
    assert textures.labels(0).whole
    every = Broden(written, categories=None)
    assert every.categories == ("object", "part", "scene", "texture", "color")


def test_the_size_for_alexnet(tmp_path: Path) -> None:
    write_broden(tmp_path / "b", 0, 3, size=227, segmentation=113)
    source = Broden(tmp_path / "b")
    assert source.shape == (113, 113)
    assert source.image(0).size == (227, 227)
    found = packed(source, folder=tmp_path / "packed")
    assert found.shape == (113, 113)
    by_name = {c.name: c.number for c in source.concepts}
    entry = broden_entries(make_scene(0, 1), 1, by_name, (113, 113))["object"][0]
    for position, concept in enumerate(source.concepts[:6]):
        mask = found.mask(1, position)
        np.testing.assert_array_equal(mask | (entry == concept.number), mask)


def test_unlabelled_is_no_label_wherever_it_stands(written: Path) -> None:
    """Some images have the scene label 0."""
    with (written / "index.csv").open() as file:
        zeros = [i for i, row in enumerate(csv.DictReader(file)) if row["scene"] == "0"]
    assert zeros
    source = Broden(written)
    scenes = {i + 1 for i, c in enumerate(source.concepts) if c.category == "scene"}
    for index in zeros:
        assert not scenes & {*source.labels(index).whole}


def test_identity_changes_with_tables_and_files(folder: Path) -> None:
    first = Broden(folder).identity()
    assert Broden(folder).identity() == first
    assert Broden(folder, categories=["object"]).identity() != first
    rewrite(folder / "label.csv", lambda row: row | {"name": row["name"] + "x"})
    second = Broden(folder).identity()
    assert second != first
    path = next((folder / "images").glob("*_object_1.png"))
    path.write_bytes(path.read_bytes() + b"\0")
    assert Broden(folder).identity() != second


def rewrite(path: Path, change: Callable[[dict[str, str]], dict[str, str] | None]) -> None:
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [changed for row in reader if (changed := change(row)) is not None]
        header = list(rows[0]) if rows else list(reader.fieldnames or ())
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)


def first_row(changes: dict[str, str]) -> Callable[[dict[str, str]], dict[str, str]]:
    seen: list[int] = []

    def change(row: dict[str, str]) -> dict[str, str]:
        seen.append(1)
        return row | changes if len(seen) == 1 else row

    return change


def drop(column: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda row: {name: value for name, value in row.items() if name != column}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "index.csv").unlink(), r"index\.csv does not exist"),
        (lambda f: (f / "label.csv").unlink(), r"label\.csv does not exist"),
        (lambda f: (f / "category.csv").unlink(), r"category\.csv does not exist"),
        (lambda f: (f / "c_part.csv").unlink(), r"c_part\.csv does not exist"),
        (lambda f: rewrite(f / "index.csv", drop("part")), "no column 'part'"),
        (lambda f: rewrite(f / "index.csv", drop("sh")), "no column 'sh'"),
        (lambda f: rewrite(f / "index.csv", first_row({"sh": "a lot"})), "sh is 'a lot'"),
        (lambda f: rewrite(f / "index.csv", first_row({"sw": "0"})), "112 × 0"),
        (lambda f: rewrite(f / "index.csv", first_row({"scene": "999"})), "row 2.*label 999"),
        (lambda f: rewrite(f / "index.csv", first_row({"object": "../x.png"})), "outside"),
        (lambda f: rewrite(f / "index.csv", first_row({"image": "/etc/passwd"})), "outside"),
        (lambda f: rewrite(f / "index.csv", lambda row: None), "has no image"),
        (lambda f: rewrite(f / "label.csv", first_row({"number": "x"})), "number is 'x'"),
        (lambda f: rewrite(f / "label.csv", first_row({"number": "251"})), "label 251 twice"),
        (lambda f: rewrite(f / "label.csv", first_row({"number": "70000"})), "label 70000"),
        (lambda f: rewrite(f / "index.csv", first_row({"scene": "9" * 5000})), "label 999"),
        (lambda f: rewrite(f / "category.csv", lambda row: row | {"name": "part"}), "'part' twice"),
        (lambda f: rewrite(f / "category.csv", first_row({"name": "x/../y"})), "cannot be the"),
        (lambda f: rewrite(f / "category.csv", first_row({"name": "sh"})), "'sh' cannot be"),
        (lambda f: rewrite(f / "c_color.csv", lambda row: row | {"coverage": "?"}), "'\\?'"),
        (lambda f: rewrite(f / "c_color.csv", lambda row: row | {"coverage": "nan"}), "'nan'"),
        (lambda f: rewrite(f / "c_color.csv", lambda row: row | {"coverage": "-1"}), "'-1'"),
        (lambda f: rewrite(f / "c_color.csv", lambda row: row | {"number": "9"}), "label 9 is"),
        (lambda f: (f / "label.csv").write_bytes(b"number,name\n1,\xff\n"), "cannot be read"),
        (lambda f: (f / "index.csv").write_text("image,split\na"), "no column"),
    ],
)
def test_bad_tables_are_told_before_anything_is_read(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)
    with pytest.raises(InputError, match=message):
        Broden(folder)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot be read"),
        (lambda path: path.write_text("no picture"), "cannot be read"),
        (lambda path: Image.new("RGB", (50, 60)).save(path), "60 × 50.*112 × 112"),
        (lambda path: Image.new("RGB", (112, 112), (3, 9, 0)).save(path), "label 2307"),
        (lambda path: Image.new("RGB", (112, 112), (7, 0, 0)).save(path), "label 7, which"),
        (lambda path: path.unlink(), "does not exist"),
    ],
)
def test_bad_label_maps_are_named(
    folder: Path, make: Callable[[Path], object], message: str
) -> None:
    make(folder / "images" / "00000_object_1.png")
    source = Broden(folder)
    with pytest.raises(InputError, match=f"00000_object_1.png.*{message}"):
        source.labels(0)


def test_a_damaged_picture_is_named(folder: Path) -> None:
    (folder / "images" / "00001.jpg").write_text("no picture")
    source = Broden(folder)
    assert source.image(0).mode == "RGB"
    with pytest.raises(InputError, match=r"00001\.jpg cannot be read"):
        source.image(1)


def test_files_in_folders_below_images(folder: Path) -> None:
    """Broden has a folder for each of the data sets that it is made of."""
    images = folder / "images"
    (images / "dtd").mkdir()
    for name in ("00000.jpg", "00000_object_1.png"):
        (images / name).rename(images / "dtd" / name)
    before = Broden(folder)
    assert len(before.check()) == 2
    move = {"image": "dtd/00000.jpg", "object": "dtd/00000_object_1.png"}
    rewrite(folder / "index.csv", first_row(move))
    source = Broden(folder)
    assert source.check() == []
    assert source.name(0) == "dtd/00000.jpg"
    assert source.labels(0).pixels.any()


def test_a_label_of_no_chosen_category_counts_where_a_chosen_map_has_it(folder: Path) -> None:
    """As in the original code, which gives it to the last category."""
    source = Broden(folder, categories=["object", "scene"])
    red = next(c for c in source.concepts if c.name == "red-c")
    assert red.category == "scene"
    pixel = (red.number % 256, red.number // 256, 0)
    Image.new("RGB", (112, 112), pixel).save(folder / "images" / "00000_object_1.png")
    assert set(numbers_of(source)[source.labels(0).pixels[0]].ravel()) == {red.number}


def test_maps_of_many_sizes_have_no_common_shape(folder: Path) -> None:
    rewrite(folder / "index.csv", first_row({"sh": "60", "sw": "50"}))
    with (folder / "index.csv").open() as file:
        row = next(csv.DictReader(file))
    for category in ("object", "part", "color"):
        for name in row[category].split(";"):
            Image.new("RGB", (50, 60), (251, 0, 0)).save(folder / "images" / name)
    source = Broden(folder)
    assert source.shape is None
    assert source.labels(0).pixels.shape[1:] == (60, 50)
    assert source.labels(1).pixels.shape[1:] == (112, 112)


def test_greyscale_maps_have_no_green(folder: Path) -> None:
    values = np.full((112, 112), 251, dtype=np.uint8)
    Image.fromarray(values).save(folder / "images" / "00000_object_1.png")
    source = Broden(folder)
    assert set(numbers_of(source)[source.labels(0).pixels[0]].ravel()) == {251}


def test_links_out_of_the_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (112, 112)).save(tmp_path / "outside.png")
    path = folder / "images" / "00000_object_1.png"
    path.unlink()
    path.symlink_to(tmp_path / "outside.png")
    with pytest.raises(InputError, match="leads out"):
        Broden(folder).labels(0)


def test_missing_files_are_listed_before_packing(folder: Path, tmp_path: Path) -> None:
    (folder / "images" / "00001.jpg").unlink()
    (folder / "images" / "00004_color_1.png").unlink()
    source = Broden(folder)
    assert [Path(p.split()[0]).name for p in source.check()] == ["00001.jpg", "00004_color_1.png"]
    with pytest.raises(InputError, match=r"00001.jpg does not exist \(and 1 more\)"):
        packed(source, folder=tmp_path / "packed")


def test_categories_that_there_are_not(written: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'color'"):
        Broden(written, categories=["colour"])


def test_no_such_folder_or_index(written: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        Broden(tmp_path / "none")
    with pytest.raises(InputError, match="outside"):
        Broden(written, "../index.csv")
