"""Everything the statistics of a pass depend on, so that only compatible statistics are merged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from milannotations.exemplars.statistics import LayerStatistics
from milannotations.rules import InPlace, MaskRule, checked_in_place, checked_mask_rule


@dataclass(frozen=True)
class PassPlan:
    """Everything the statistics depend on; statistics are merged only if their plans are equal.

    Attributes:
        model: Name of the architecture, for the records.
        dataset: Name of the data the network was trained on, for the records.
        weights: ``hash_of_weights`` of the network.
        layers: Each layer's (units, height, width).
        source: ``identity()`` of the images.
        k: Exemplars per unit.
        quantile: Activation quantile of the threshold.
        dtype: What the network computes in.
        layouts: How each layer's output becomes maps, as text.
        pooled: Layers whose units have one activation per image.
        in_place: Whether outputs that are changed in place are read before or after that.
        changed_in_place: With ``after``, the layers this affects, each with the module that changes
            its output. Statistics depend on these, not on ``in_place`` itself.
        units: The numbers of the units, ascending, for layers of which only some are read.
        masks: The default rule for masks when statistics become records. Statistics do not depend
            on it.
    """

    model: str
    dataset: str
    weights: str
    layers: dict[str, tuple[int, int, int]]
    source: dict[str, Any]
    k: int
    quantile: float
    dtype: str
    layouts: dict[str, str]
    pooled: tuple[str, ...] = ()
    # Files of statistics written before there was a choice have these values.
    in_place: InPlace = "before"
    changed_in_place: dict[str, str] = field(default_factory=dict)
    masks: MaskRule = "bilinear"
    units: dict[str, list[int]] = field(default_factory=dict)

    def numbers(self, layer: str) -> Sequence[int]:
        """Return the numbers of a layer's units, in the order of its statistics."""
        return self.units.get(layer) or range(self.layers[layer][0])

    @property
    def images(self) -> int:
        """Number of images in all."""
        return int(self.source["images"])

    def empty(self, device: torch.device | str = "cpu") -> dict[str, LayerStatistics]:
        """Return empty statistics of every layer."""
        return {
            layer: LayerStatistics(units, self.k, height, width, self.quantile, self.images, device)
            for layer, (units, height, width) in self.layers.items()
        }

    def as_json(self) -> dict[str, Any]:
        """Return the plan as it reads back from JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> PassPlan:
        """Return the plan that ``as_json`` gave; TypeError or ValueError if it is none."""
        layers = {str(k): tuple(int(n) for n in v) for k, v in plain["layers"].items()}
        if any(len(shape) != 3 or min(shape) < 1 for shape in layers.values()):
            raise ValueError("layers have no shape")
        units = {str(k): [int(n) for n in v] for k, v in plain.get("units", {}).items()}
        if any(len(numbers) != layers[layer][0] for layer, numbers in units.items()):
            raise ValueError("units do not fit the layers")
        return cls(
            **{
                **plain,
                "layers": layers,
                "units": units,
                "pooled": tuple(plain["pooled"]),
                "in_place": checked_in_place(plain.get("in_place", "before")),
                "masks": checked_mask_rule(plain.get("masks", "bilinear")),
            }
        )

    def difference(self, other: PassPlan) -> str | None:
        """Return what two plans differ in, as text; None if they are equal."""
        mine, theirs = self.as_json(), other.as_json()
        changed = [
            name
            for name in mine
            if mine[name] != theirs[name] and name not in ("in_place", "masks")
        ]
        if not changed:
            return None
        if "changed_in_place" in changed:
            changed[changed.index("changed_in_place")] = (
                "where outputs are read that are changed in place (--in-place)"
            )
        if "source" in changed:
            changed.remove("source")
            keys = mine["source"].keys() | theirs["source"].keys()
            changed += [
                "the image set" if key in ("files", "images") else f"the images' {key}"
                for key in sorted(keys)
                if mine["source"].get(key) != theirs["source"].get(key)
            ]
        return " and ".join(dict.fromkeys(changed))
