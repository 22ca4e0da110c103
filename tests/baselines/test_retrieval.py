"""Retrieval: pooled features against a slow loop, and its answers on what is certain."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.transforms.v2.functional import pil_to_tensor

from baselines.features.cache import exemplar_features
from baselines.features.encoder import EncoderSpec, PyramidEncoder
from baselines.retrieval.describer import Retrieval
from milannotations.catalog.models import LoadedModel
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.loading import load


def test_masked_features_equal_a_slow_loop() -> None:
    conv = nn.Conv2d(3, 4, 16, stride=16)
    module = nn.Sequential(conv, nn.ReLU(inplace=True))
    model = LoadedModel(module, "m", "d", Preprocessing())
    neurons = load("demo", "test").select(range(3))
    spec = EncoderSpec(model="m", layers=("0",), masks="area", empty="whole")
    found = exemplar_features(PyramidEncoder(spec, model), neurons, batch_size=5)
    assert found.shape == (3, 15, 4)
    for n, record in enumerate(neurons):
        for e, (image, mask) in enumerate(zip(record["images"], record["masks"], strict=True)):
            maps = conv(model.preprocessing.tensor(image)[None])[0]
            weights = functional.adaptive_avg_pool2d(pil_to_tensor(mask.convert("L")) / 255, 14)
            expected = (maps * weights).sum((1, 2)) / weights.sum()
            assert torch.allclose(found[n, e], expected, atol=1e-4)


def test_a_training_neuron_finds_itself() -> None:
    train = load("demo", "train").select(range(25))
    describer = Retrieval(device="cpu")
    with pytest.raises(InputError, match="training neurons"):
        describer.describe(train)
    describer.fit(train)
    found = describer.describe(train)
    assert [d.text for d in found] == [texts[0] for texts in train["annotations"]]
    assert all(d.score == pytest.approx(1, abs=1e-4) for d in found)
    assert found[0].text not in found[0].alternatives


def test_it_needs_annotations_and_known_layers() -> None:
    with pytest.raises(InputError, match="annotated"):
        Retrieval(device="cpu").fit(load("demo", "network").select(range(2)))
    with pytest.raises(InputError, match="name the layers"):
        Retrieval(encoder="vgg11")
