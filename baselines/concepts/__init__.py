"""Segmented images: what is where in a picture, for baselines that compare units with concepts."""

# Here, so that `--help`, which needs it, need not wait for numpy.
CONCEPTS_HELP = (
    "labelled images: broden:FOLDER, ade20k:FOLDER, sceneparsing:FOLDER, coco-panoptic:FOLDER, "
    "coco-stuff:FOLDER, worlds:SEED:SCENES or segmenter:FOLDER?model=NAME; options follow a "
    "question mark, as broden:FOLDER?index=index_ade20k.csv&categories=object,part"
)
