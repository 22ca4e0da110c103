"""``milannotations merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.record import DEFAULT_SIZE

app = typer.Typer(add_completion=False)


@app.command()
def merge(
    shards: Annotated[Path, typer.Argument(help="folder of shards, from build --shard")],
    out: Annotated[Path, typer.Option(help="dataset folder to write")],
    images: Annotated[
        str | None, typer.Option(help="the images of the shards, as given to build")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="the generator of the shards, as given to build")
    ] = None,
    weights: Annotated[str, typer.Option(help="the generator's, as given to build")] = "published",
    latents: Annotated[
        str | None, typer.Option(help="the generator's file of latents, as given to build")
    ] = None,
    size: Annotated[int, typer.Option(help="side of exemplars and masks")] = DEFAULT_SIZE,
    image_format: Annotated[str, typer.Option(help="jpeg, png or webp (lossless)")] = "jpeg",
    masks: Annotated[
        str | None,
        typer.Option(help="bilinear or original; default: what the shards were built with"),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace the output folder")] = False,
) -> None:
    """Merge the shards of a build into a dataset folder, the same as one pass gives."""
    from milannotations.catalog.models import load_model
    from milannotations.errors import InputError
    from milannotations.exemplars.build import merge as run
    from milannotations.exemplars.build import shards_in
    from milannotations.exemplars.commands import latents_of, open_images, say_report
    from milannotations.exemplars.options import BuildOptions, checked_mask_rule
    from milannotations.exemplars.plan import fingerprint_of_weights
    from milannotations.exemplars.request import DatasetRequest
    from milannotations.exemplars.shards import read_header
    from milannotations.exemplars.sources import Preprocessing, Source
    from milannotations.pictures import utf8
    from milannotations.storage import check_target

    check_target(out, overwrite)
    paths = shards_in(shards)
    plan = read_header(paths[0]).plan
    rules = sorted({read_header(path).plan.masks for path in paths})
    if masks is None and len(rules) > 1:
        raise InputError(f"the shards were built for masks {' and '.join(rules)}; pass --masks")
    options = BuildOptions(
        plan.k, plan.quantile, size, image_format=image_format,
        masks=checked_mask_rule(masks or rules[0]),
    )  # fmt: skip
    options.check(plan.images)
    source: Source
    generator = None
    if images is not None and model is None:
        pictures = open_images(images, size)
        pictures.preprocessing = Preprocessing.from_json(plan.source.get("preprocessing", {}))
        source = pictures
    elif model is not None and images is None:
        loaded = load_model(model, weights)
        drawn = plan.source.get("latents")
        if loaded.latents is None or drawn is None:
            raise InputError(f"{model!r} and these shards are not of a generator; give --images")
        if fingerprint_of_weights(loaded.module) != plan.weights:
            raise InputError(f"these are not the weights of the shards: {model!r}, {weights!r}")
        generator = loaded.module.eval()
        source = latents_of(
            loaded, latents or str(plan.images), drawn["seed"], drawn["truncation"], size
        )
    else:
        raise InputError("give --images, or for a generator's shards --model")
    provenance = {"shards": len(paths), "source": utf8(images or "latents")}
    report = run(
        DatasetRequest(
            source=source, out=out, options=options, overwrite=overwrite, provenance=provenance
        ),
        paths,
        generator=generator,
    )
    say_report(report, plan.k)
