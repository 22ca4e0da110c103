from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image
from scipy.sparse import csr_array

from baselines.concepts.counting import Masking, Upsampler
from baselines.concepts.exemplar_strips import strips
from baselines.concepts.tally import StrongestImages, Tally

PEAKS = np.array([[3.0, 2.0, 0.5], [0.2, 0.1, 0.0]], dtype=np.float32)


def tally() -> Tally:
    """Unit 0 is above its threshold of 1 in the left half of two images; unit 1 is dead."""
    maps = np.zeros((2, 3, 4, 4), dtype=np.float32)
    maps[0, :, :, :2] = PEAKS[0, :, None, None]
    top = StrongestImages(np.array([[2, 0, 1], [0, 1, 2]]), PEAKS, maps)
    nothing = np.zeros((2, 1), dtype=np.int64)
    return Tally("a", np.ones(2, np.float32), csr_array((2, 1)), nothing, nothing, top)


def picture(index: int) -> Image.Image:
    return Image.new("RGB", (224, 224), [(250, 0, 0), (0, 250, 0), (0, 0, 250)][index])


def test_a_strip_shows_the_images_where_the_unit_is_activated() -> None:
    upsampler = Upsampler(Masking(), (4, 4), (112, 112), (224, 224), torch.device("cpu"))
    steps: list[int] = []
    found = strips(tally(), [0, 1], picture, upsampler, steps.append)
    assert set(found) == {0}
    assert steps == [1, 1]
    data = base64.b64decode(found[0].removeprefix("data:image/jpeg;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert pixels.shape == (84, 2 * 84 + 3, 3)
    for start, channel in ((0, 2), (87, 0)):  # the blue image is the strongest, then the red one
        bright, dark = pixels[40, start + 15], pixels[40, start + 70]
        assert bright[channel] > 230
        assert 50 < dark[channel] < 100
        assert np.delete(bright, channel).max() < 40


def test_without_exemplars_there_is_nothing_to_show() -> None:
    bare = tally()
    plain = Tally(bare.layer, bare.thresholds, bare.counts, bare.in_images, bare.in_masks)
    upsampler = Upsampler(Masking(), (4, 4), (112, 112), (224, 224), torch.device("cpu"))
    assert strips(plain, [0], picture, upsampler) == {}
