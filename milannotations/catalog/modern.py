"""ConvNeXt and Swin: torchvision's, whose features have channels last."""

from __future__ import annotations

from milannotations.catalog.entry import torchvision_entry

# Of the odd steps each is a stage; those between them make the features smaller.
_STAGES = tuple(f"features.{index}" for index in (1, 3, 5, 7))

ENTRIES = (
    torchvision_entry("convnext_tiny", _STAGES),
    torchvision_entry("swin_t", _STAGES),
)
