"""Latents: reproducible, within their truncation, and turned into the images they stand for."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from milannotations.catalog.models import LoadedModel
from milannotations.errors import InputError
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.inputs.generators import Latents, LatentSpace
from milannotations.inputs.preprocessing import Preprocessing


class Lamps(nn.Module):
    """Four latent numbers, four quarters of the image: each lights its own as far as it is > 0.

    Class 1 lights the red channel, class 0 the green one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.ConvTranspose2d(4, 4, 2, bias=False)
        with torch.no_grad():
            self.hidden.weight[:] = torch.eye(4).view(4, 4, 1, 1) * torch.eye(4).view(4, 1, 2, 2)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        lamps = self.hidden(latents[:, :, None, None].relu())
        light = lamps.sum(1, keepdim=True).repeat_interleave(8, 2).repeat_interleave(8, 3)
        red = labels[:, None, None, None].float()
        image = torch.cat([light * red, light * (1 - red), torch.zeros_like(light)], 1)
        return image.clamp(0, 2) - 1


SPACE = LatentSpace((4,), classes=2)


def lamps() -> LoadedModel:
    """Return the generator as the command line names it."""
    return LoadedModel(Lamps(), "lamps", "hand", Preprocessing(), ("hidden",), latents=SPACE)


def test_latents_depend_on_seed_and_index_alone() -> None:
    one, two = Latents(Lamps(), SPACE, 100, seed=3), Latents(Lamps(), SPACE, 50, seed=3)
    other = Latents(Lamps(), SPACE, 50, seed=4)
    for index in (7, 3, 7):
        for first, second in zip(one.inputs(index), two.inputs(index), strict=True):
            assert torch.equal(first, second)
    assert not torch.equal(one.inputs(7)[0], other.inputs(7)[0])
    assert one.identity() != other.identity()
    # Latents travel to other processes.
    assert torch.equal(pickle.loads(pickle.dumps(one)).inputs(9)[0], one.inputs(9)[0])


def test_latents_are_normal_and_labels_even() -> None:
    source = Latents(Lamps(), SPACE, 2000)
    latents, labels = zip(*(source.inputs(index) for index in range(2000)), strict=True)
    assert stats.kstest(torch.stack(latents).flatten().numpy(), "norm").pvalue > 1e-3
    assert 900 < sum(int(label) for label in labels) < 1100


def test_truncation_bounds_all_numbers_and_keeps_the_shape_between() -> None:
    source = Latents(Lamps(), SPACE, 500, truncation=0.5)
    drawn = torch.stack([source.inputs(index)[0] for index in range(500)]).flatten().numpy()
    assert np.abs(drawn).max() <= 0.5
    assert stats.kstest(drawn, stats.truncnorm(-0.5, 0.5).cdf).pvalue > 1e-3


def test_a_generators_units_are_dissected_on_its_own_images(tmp_path: Path) -> None:
    source = Latents(Lamps(), SPACE, 60, seed=1, size=32)
    options = BuildOptions(k=3, size=32, batch_size=8, image_format="png", quantile=0.9)
    module = Lamps()
    report = build(
        BuildRequest(
            module=module,
            source=source,
            layers=["hidden"],
            out=tmp_path / "out",
            model="lamps",
            dataset="hand",
            options=options,
        )
    )
    from datasets import load_dataset

    rows = load_dataset(str(report.folder), split="train", cache_dir=str(tmp_path / "cache"))
    latents = torch.stack([source.inputs(index)[0] for index in range(60)])
    for row in rows:
        unit = row["unit"]
        order = latents[:, unit].argsort(descending=True)[:3]
        assert row["image_ids"] == order.tolist()
        assert row["activations"] == pytest.approx(latents[order, unit].tolist())
        for index, image, mask in zip(row["image_ids"], row["images"], row["masks"], strict=True):
            rows_, columns = slice(16 * (unit // 2), 16 * (unit // 2) + 16), (unit % 2) * 16
            quarter = np.zeros((32, 32), bool)
            quarter[rows_, columns : columns + 16] = True
            lit = np.asarray(mask)
            # Bilinear upsampling lets light fall a little beyond the quarter.
            assert (lit & quarter).sum() / (lit | quarter).sum() > 0.5
            channel = 1 - int(source.inputs(index)[1])
            assert np.asarray(image)[quarter][:, channel].mean() > 100
            assert np.asarray(image)[quarter][:, 1 - channel].mean() < 10
    names = (report.folder / "images.csv").read_text().splitlines()
    assert names[1 + 5].startswith("5,seed-1/latent-000005 class-")
    facts = json.loads((report.folder / "build.json").read_text())["images_of"]
    assert facts["latents"] == {"shape": [4], "classes": 2, "seed": 1, "truncation": None}


def test_images_do_not_depend_on_what_was_generated_with_them() -> None:
    source = Latents(Lamps().eval(), SPACE, 10, size=32)
    alone = np.asarray(source.image(3))
    with torch.inference_mode():
        together = source.generator(
            *map(torch.stack, zip(*map(source.inputs, range(10)), strict=True))
        )
    batch = ((together[3].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    assert np.abs(np.kron(batch, np.ones((2, 2, 1))).astype(int) - alone).mean() < 12


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"count": 0}, "0 latents"),
        ({"count": 5, "seed": -1}, "seed -1"),
        ({"count": 5, "truncation": 0.0}, "truncation is 0"),
    ],
)
def test_bad_numbers(options: dict[str, float], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Latents(Lamps(), SPACE, **options)


def test_output_that_is_no_image_is_refused() -> None:
    with pytest.raises(InputError, match=r"the generator gives torch\.Size\(\[1, 4\]\)"):
        Latents(nn.Linear(4, 4), LatentSpace((4,)), 5).image(0)
