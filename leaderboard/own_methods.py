"""The baselines and controls that have rows on this project's boards, and what each is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["method", "control", "human"]
TRAIN = "demo/train"
# Labelled scenes for the dissection baselines, from a seed of which no split of the demo was built.
SCENES = "worlds:5:256"
# A small MILAN, trained in half a minute on the features that retrieval uses as well.
_MILAN = {
    "encoder": "efficientnet_lite0", "hidden": 128, "epochs": 40, "learning_rate": 0.005,
    "batch_size": 32, "language_model_batch_size": 32, "stop_on": "loss", "resample": True,
    "validation": "demo", "validation_split": "validation",
}  # fmt: skip
_EXEMPLARS = "the neuron's exemplars"
_TRAINING_TEXTS = "the training descriptions"


@dataclass(frozen=True)
class OwnMethod:
    """A baseline or control with a row of its own.

    Attributes:
        describer: Name of the describer.
        title: Its title on pages.
        kind: Method or anchor.
        seen: Annotations that it has seen; ``train`` stands for the data that it is trained on.
        options: The describer's options.
        seeded: Whether it takes a seed.
        demo: Whether it is fast enough for the demo, which takes a minute.
        paper: Address of its paper.
        pretrained_on: Other data that went into it.
        images: Images that it looks at, unless the describer itself states them.
        vocabulary: Words or texts that it chooses from, unless the describer itself states them.
        references: Who must have written the references for this row to be meaningful; empty for
            anyone.

    >>> OWN_METHODS["oracle"].kind
    'control'
    """

    describer: str
    title: str
    kind: Kind
    seen: str
    options: dict[str, Any] = field(default_factory=dict)
    seeded: bool = False
    demo: bool = True
    paper: str = ""
    pretrained_on: str = ""
    images: str = "none"
    vocabulary: str = ""
    references: Literal["", "people", "program"] = ""


_HERNANDEZ = "https://arxiv.org/abs/2201.11114"
_BAU = "https://arxiv.org/abs/1704.05796"
_MU = "https://arxiv.org/abs/2006.14032"


def _milan(title: str, variant: str = "", demo: bool = False) -> OwnMethod:
    options = {**_MILAN, **({"variant": variant} if variant else {})}
    return OwnMethod(
        "milan", title, "method", "train", options, True, demo, _HERNANDEZ, "ImageNet (encoder)",
        images=f"{_EXEMPLARS} and masks", vocabulary=f"the words of {_TRAINING_TEXTS}",
    )  # fmt: skip


OWN_METHODS: dict[str, OwnMethod] = {
    "people": OwnMethod(
        "oracle", "People: one annotator held out", "human", "the held-out annotation itself",
        demo=False, references="people", vocabulary="the references",
    ),
    "oracle": OwnMethod(
        "oracle", "Oracle: one reference held out", "control", "the held-out reference itself",
        references="program", vocabulary="the references",
    ),
    "retrieval": OwnMethod(
        "retrieval", "Nearest neighbour, masked EfficientNet-Lite0", "method", "train",
        pretrained_on="ImageNet (encoder)", images=f"{_EXEMPLARS} and masks",
        vocabulary=_TRAINING_TEXTS,
    ),
    "milan": _milan("MILAN, trained on the demo's neurons", demo=True),
    "milan-beam": _milan("MILAN without mutual information, beam search", "beam"),
    "milan-greedy": _milan("MILAN without mutual information, greedy", "greedy"),
    "milan-sample": _milan("MILAN without mutual information, sampled", "sample"),
    "milan-mi-beam": _milan("MILAN, token-wise mutual information, beam search", "mi-beam"),
    "clip-dissect": OwnMethod(
        "clip-dissect", "CLIP-Dissect, training descriptions as texts", "method", "train",
        {"clip": "openai/clip-vit-base-patch32"}, demo=False,
        paper="https://arxiv.org/abs/2204.10965", pretrained_on="WebImageText (CLIP)",
        images=_EXEMPLARS, vocabulary=_TRAINING_TEXTS,
    ),
    "compexp": OwnMethod(
        "compexp", "Compositional Explanations", "method", "none", paper=_MU
    ),
    "netdissect": OwnMethod("netdissect", "Network Dissection", "method", "none", paper=_BAU),
    "netdissect-original": OwnMethod(
        "netdissect", "Network Dissection, as first published", "method", "none",
        {"variant": "original"}, demo=False, paper=_BAU,
    ),
    "netdissect-segmenter": OwnMethod(
        "netdissect", "Network Dissection, the variant of the MILAN paper", "method", "none",
        {"variant": "segmenter"}, demo=False, paper=_BAU,
    ),
    "random-train": OwnMethod(
        "random-train", "Random training description", "control", "train", seeded=True,
        vocabulary=_TRAINING_TEXTS,
    ),
    "shuffled-oracle": OwnMethod(
        "shuffled-oracle", "Oracle, dealt out to the wrong neurons", "control", "test, shuffled",
        seeded=True, vocabulary="the references",
    ),
    "constant-frequent": OwnMethod(
        "constant-frequent", "Most frequent training description", "control", "train",
        vocabulary=_TRAINING_TEXTS,
    ),
    "constant": OwnMethod(
        "constant", 'Constant "objects"', "control", "none", {"text": "objects"},
        vocabulary='"objects"',
    ),
}  # fmt: skip
DEMO_METHODS = [name for name, method in OWN_METHODS.items() if method.demo]
