"""The page of a dissection: its figures, and every unit of every layer to search and sort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from milannotations.page import PageKit
from milannotations.storage import atomic_path
from milannotations.untrusted_text import clean
from milannotations.viewer.sheets import data_uri

_SITE = Path(__file__).parent / "site"


@dataclass(frozen=True)
class UnitRow:
    """One unit on the page.

    Attributes:
        unit: The unit.
        text: Its description.
        kind: The category of the description.
        iou: IoU of the description.
        more: Further candidates and their IoU, best first.
        note: A remark, such as ``dead``.
        picture: Data URI of a picture of its exemplars; empty if there is none.
    """

    unit: int
    text: str
    kind: str
    iou: float
    more: Sequence[tuple[str, float]] = ()
    note: str = ""
    picture: str = ""


def render(
    path: Path,
    *,
    title: str,
    method: str,
    lead: str,
    facts: Mapping[str, str],
    layers: Mapping[str, Sequence[UnitRow]],
    figures: Mapping[str, Path],
    bar: float,
) -> None:
    """Write the page as one self-contained file.

    Args:
        path: The HTML file.
        title: Its title.
        method: Name of the describer.
        lead: A sentence below the title.
        facts: Settings, by name.
        layers: The units of each layer.
        figures: PNG files, by what they show.
        bar: Units below this IoU are shown in grey.
    """
    data = {
        "bar": bar,
        "layers": [
            {
                "name": clean(name),
                "units": [
                    [u.unit, clean(u.text), clean(u.kind), round(u.iou, 4), u.note,
                     [[clean(text), round(iou, 4)] for text, iou in u.more], u.picture]
                    for u in units
                ],
            }
            for name, units in layers.items()
        ],
    }  # fmt: skip
    text = PageKit(_SITE).render(
        "page.html.j2",
        scripts=["app.js"],
        data=data,
        title=title,
        method=method,
        lead=lead,
        facts=facts,
        figures={what: data_uri(file.read_bytes(), "image/png") for what, file in figures.items()},
        units=sum(map(len, layers.values())),
        bar=bar,
    )
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
