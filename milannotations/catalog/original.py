"""The models that the code of the MILAN paper lists, which have the defaults of that code.

The list is ``src/exemplars/models.py`` of https://github.com/evandez/neuron-descriptions.
"""

from __future__ import annotations

_CLASSIFIERS = (
    "densenet121", "densenet201", "mobilenet_v2", "resnet18", "resnet34", "resnet50", "resnet101",
    "resnet152", "shufflenet_v2_x1_0", "squeezenet1_0", "vgg11", "vgg13", "vgg16", "vgg19",
    "alexnet",
)  # fmt: skip
# As in ``CatalogEntry.config``.
ORIGINAL_MODELS = frozenset(
    [
        *(f"{name}-imagenet" for name in (*_CLASSIFIERS, "biggan", "dino_vits8")),
        *(f"{name}-imagenet-blurred" for name in _CLASSIFIERS),
        *(f"{name}-places365" for name in ("alexnet", "biggan", "resnet18", "resnet152", "vgg16")),
    ]
)
