"""From the original release to a dataset folder: streamed, resumable, exact."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from milannotations.annotations import read_annotations, to_dataset
from milannotations.catalog.releases import RELEASES, SOURCES, TEXT_ONLY, canonical
from milannotations.defaults import IMAGE_FORMATS
from milannotations.errors import InputError, did_you_mean
from milannotations.fingerprints import fingerprint, fingerprint_of_files, record_fingerprint
from milannotations.folder import write_card, write_records
from milannotations.release.archive import ANNOTATIONS, Files, open_files
from milannotations.release.convert import convert
from milannotations.release.facts import ImportReport, write_facts
from milannotations.release.layout import ReleaseLayout, read_layout
from milannotations.storage import atomic_folder, atomic_path, check_target, resumable_folder
from milannotations.tables import is_table

# What the card says until images are attached.
WITHOUT_IMAGES = "without images: `milannotations attach-images` fills them from the source images"


def import_release(
    source: Path,
    out: Path,
    *,
    config: str | None = None,
    model: str | None = None,
    dataset: str | None = None,
    image_format: str = "webp",
    overwrite: bool = False,
    drop_unknown: bool = False,
    record: bool = False,
) -> ImportReport:
    """Convert an original release into a dataset folder of Parquet shards.

    Only one unit, and one row group of the output, is in memory at a time. Calling it again
    resumes an interrupted import: finished shards are kept.

    Args:
        source: Zip or folder in the original layout, or its annotations.csv alone.
        out: Folder to write; it appears only once it is complete.
        config: ``alexnet-imagenet`` and so on; by default the file's name, if it is a known config.
        model: Name of the architecture, for releases that are not among the known ones.
        dataset: Name of the data it was trained on.
        image_format: For exemplars in the release: lossless ``webp`` or ``png``, or ``jpeg``.
        overwrite: Replace ``out`` if it exists.
        drop_unknown: Leave out annotations of units that do not exist, instead of refusing them.
        record: Remember the fingerprint under the name of the config. This happens before ``out``
            appears, so that every existing import is known.

    Raises:
        InputError: If anything is wrong with the release; before the conversion where possible.
    """
    if image_format not in IMAGE_FORMATS:
        raise InputError(f"image format {image_format!r}; choose one of {sorted(IMAGE_FORMATS)}")
    model, dataset, config = names(source, config, model, dataset)
    check_target(out, overwrite)
    if is_table(source):
        return _import_annotations(source, out, model, dataset, config, overwrite, record)
    published = RELEASES.get(f"{model}-{dataset}")
    images_of = published.source if published else None
    with closing(open_files(source)) as files:
        layout = read_layout(files, SOURCES[images_of].images if images_of else None, drop_unknown)
        identity = {
            "source": files.identity(),
            "names": [model, dataset],
            "image_format": image_format,
            "drop_unknown": drop_unknown,
            "version": version("milannotations"),
        }
        with resumable_folder(out, identity, overwrite) as work:
            conventions = convert(layout, work, model, dataset, image_format)
            if ANNOTATIONS in files.sizes:
                _keep(files, ANNOTATIONS, work / ANNOTATIONS)
            report = _report(layout, work, model, dataset, image_format, conventions)
            report.ignored = files.ignored
            _write_folder(work, report, record)
    return report


def names(
    source: Path, config: str | None = None, model: str | None = None, dataset: str | None = None
) -> tuple[str, str, str]:
    """Return the model, dataset and config of a release.

    Raises:
        InputError: If they are not given and the file's name is not a known config.
    """
    suffix = TEXT_ONLY if is_table(source) else ""
    if model and dataset:
        for name in (model, dataset):
            if not re.fullmatch(r"\w+([.-]\w+)*", name):
                raise InputError(f"{name!r} is no name; use letters, digits, '_', '.' and '-'")
        return model, dataset, f"{model}-{dataset}{suffix}"
    name = canonical(config or source.name.removesuffix(".zip")).removesuffix(TEXT_ONLY)
    if name in RELEASES:
        return RELEASES[name].model, RELEASES[name].dataset, f"{name}{suffix}"
    hint = did_you_mean(name, RELEASES)
    raise InputError(
        f"{name!r} is no known config{hint}; name one by --config ({', '.join(RELEASES)}), or name "
        "--model and --dataset"
    )


def _import_annotations(
    source: Path,
    out: Path,
    model: str,
    dataset: str,
    config: str,
    overwrite: bool,
    record: bool,
) -> ImportReport:
    """Import annotations that come without exemplars: text and neuron keys."""
    records = to_dataset(read_annotations(source), model, dataset)
    with atomic_folder(out, overwrite) as work:
        (work / "data").mkdir()
        write_records(work / "data" / "000-annotations.parquet", records)
        shutil.copyfile(source, work / ANNOTATIONS)
        layers = dict(Counter(records["layer"]))
        report = ImportReport(
            config=config,
            model=model,
            dataset=dataset,
            layers=layers,
            neurons=len(records),
            annotations=sum(map(len, records["annotations"])),
            annotated=len(records),
            images=False,
            masks={},
            fingerprint=fingerprint(records),
            differences=_differences(f"{model}-{dataset}", layers),
            versions=_versions(),
        )
        _write_folder(work, report, record)
    return report


def _keep(files: Files, name: str, target: Path) -> None:
    """Keep a published file unchanged, with its order of rows and columns that records lack."""
    with atomic_path(target) as path:
        path.write_bytes(files.read(name))


def _report(
    layout: ReleaseLayout,
    work: Path,
    model: str,
    dataset: str,
    image_format: str,
    conventions: dict[str, tuple[str, int]],
) -> ImportReport:
    layers = {layer.name: len(layer.units) for layer in layout.layers}
    has_images = all(layer.images for layer in layout.layers)
    return ImportReport(
        config=f"{model}-{dataset}",
        model=model,
        dataset=dataset,
        layers=layers,
        neurons=sum(layers.values()),
        annotations=sum(len(texts) for texts in layout.annotations.values()),
        annotated=len(layout.annotations),
        images=has_images,
        masks=conventions,
        fingerprint=fingerprint_of_files(sorted((work / "data").glob("*.parquet"))),
        differences=_differences(f"{model}-{dataset}", layers),
        dropped=[f"{layer}:{unit}" for layer, unit in layout.unknown],
        image_format=image_format if has_images else "",
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("milannotations", "datasets", "pillow")}


def _differences(config: str, layers: dict[str, int]) -> list[str]:
    """Compare with the published counts (MILAN paper, table 1, and the networks' widths)."""
    if config not in RELEASES:
        return []
    expected = RELEASES[config].layers
    return [
        *(f"layer {name!r} is missing" for name in expected if name not in layers),
        *(f"layer {name!r} was not published" for name in layers if name not in expected),
        *(
            f"layer {name!r} has {count} units, published were {expected[name]}"
            for name, count in layers.items()
            if expected.get(name, count) != count
        ),
    ]


def _write_folder(work: Path, report: ImportReport, record: bool) -> None:
    write_facts(work, report)
    if record:
        record_fingerprint(report.config, report.fingerprint)
    units = ", ".join(f"`{layer}` ({count})" for layer, count in report.layers.items())
    images = (
        "with the exemplars' images"
        if report.images
        else WITHOUT_IMAGES
        if report.masks
        else "without exemplars"
    )
    write_card(
        work,
        f"MILANNOTATIONS: {report.model}, trained on {report.dataset}",
        f"{report.neurons} neurons with {report.annotations} human annotations, from the original "
        f"release of MILANNOTATIONS (Hernandez et al., ICLR 2022), {images}. "
        f"Layers (units): {units}. Fingerprint: `{report.fingerprint}`.",
    )
