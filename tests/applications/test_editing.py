"""Editing a network built by hand, of which it is known which unit reads the text."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from applications.config import EditConfig
from applications.editing.candidates import by_activation, by_gradient, random_like
from applications.editing.finetune import finetune, last_layer
from applications.editing.selection import (
    DESCRIPTIONS,
    RANDOM,
    SELECTED,
    better_than_random,
    choose_all,
    evaluate,
    save_choices,
)
from applications.editing.unit_chooser import UnitChooser, steps
from applications.labelled import AblationEvaluator, ClassImages, check_alike, read_classes
from milannotations.ablation import ablated
from milannotations.errors import InputError
from milannotations.hook_points.matching import find_hook_points
from milannotations.inputs.preprocessing import Preprocessing

SIZE = 8
PLAIN = Preprocessing(SIZE, SIZE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
TEXT = ("seen", 2)


class Reader(nn.Module):
    """Tells red from green images, but believes what is written in blue, twice as much.

    Units of ``seen``: 0 red, 1 green, 2 the text (blue, above or below the middle tells what it
    says), 3 blue too, but nothing reads it, 4 a copy of red that little depends on, 5 dead.
    """

    def __init__(self):
        super().__init__()
        self.seen = nn.Conv2d(3, 6, 1, bias=False)
        self.seen.weight.data.zero_()
        for unit, channel in enumerate((0, 1, 2, 2, 0)):
            self.seen.weight.data[unit, channel] = 1.0
        self.fc = nn.Linear(12, 2)
        self.fc.weight.data.zero_()
        self.fc.bias.data.zero_()
        w = self.fc.weight.data.view(2, 6, 2)
        w[0, 0] = w[1, 1] = 1.0
        w[0, 4] = 0.05
        w[0, 2, 0] = w[1, 2, 1] = 4.0  # text above says red, below says green

    def forward(self, x):
        maps = self.seen(x)
        halves = torch.stack([maps[:, :, :4].mean((2, 3)), maps[:, :, 4:].mean((2, 3))], 2)
        return self.fc(halves.flatten(1))


def draw(folder, label, says, rng, count, noise=0.0):
    """Write images of a colour, with text that says red or green, or with none."""
    (folder / label).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.zeros((SIZE, SIZE, 3))
        pixels[..., 0 if label == "a-red" else 1] = 0.5
        pixels[..., :2] += rng.normal(0, 0.05, (SIZE, SIZE, 2))
        if says:
            pixels[: 4 if says == "a-red" else None, :, 2][(0 if says == "a-red" else 4) :] = 0.8
        image = Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))
        image.save(folder / label / f"{number:03d}.png")


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    other = {"a-red": "b-green", "b-green": "a-red"}
    for split in ("train", "validation", "test"):
        for label in other:
            draw(tmp_path / split, label, label if split == "train" else None, rng, 12)
            draw(tmp_path / f"{split}-adversarial", label, other[label], rng, 12)
    return tmp_path


def opened(data, name):
    return ClassImages(data / name, PLAIN)


def bench_of(data, **how):
    model = Reader().eval()
    validation = opened(data, "validation")
    points = find_hook_points(model, ["seen"], (validation.example(),))
    return AblationEvaluator(model, points, validation, batch_size=7, **how)


def validation_of(data):
    return {
        "plain": opened(data, "validation"),
        "adversarial": opened(data, "validation-adversarial"),
    }


def test_finds_exactly_the_unit_that_reads_and_restores_accuracy(data, tmp_path):
    bench = bench_of(data, work=tmp_path / "work")
    tests = {n: (lambda n=n: opened(data, n)) for n in ("test", "test-adversarial")}
    matched = [TEXT, ("seen", 3), ("seen", 0)]  # one that nothing reads, one wrongly described
    choices = choose_all(bench, matched, validation_of(data), EditConfig(trials=5))
    outcomes = {(o.method, o.trial, o.test): o for o in evaluate(bench, choices, tests)}
    ours = outcomes[DESCRIPTIONS, 0, "test-adversarial"]
    assert choices[0].units == (TEXT,)
    assert ours.before.value == 0.0 and ours.after.value == 1.0 and ours.gain.value == 1.0
    clean = outcomes[DESCRIPTIONS, 0, "test"]
    assert clean.before.value == clean.after.value == 1.0
    # So does every way that may take it.
    for method in ("activation", "gradient", "effect alone"):
        assert outcomes[method, 0, "test-adversarial"].after.value == 1.0, method
    # And a draw does if, and only if, the unit is in it.
    for choice in choices:
        if choice.method in (RANDOM, SELECTED):
            outcome = outcomes[choice.method, choice.trial, "test-adversarial"].after.value
            assert (outcome == 1.0) == (TEXT in choice.order)
    p, draws = better_than_random([*outcomes.values()], "test-adversarial")
    random = [c for c in choices if c.method == RANDOM]
    assert draws == 5 and p == (1 + sum(TEXT in c.order for c in random)) / 6
    assert all(len(c.order) == 1 for c in random)


def test_nothing_of_the_test_images_reaches_a_choice(data, monkeypatch):
    def no_test_images(*_args, **_kwargs):
        raise AssertionError("a test image was opened")

    honest = choose_all(
        bench_of(data), [TEXT, ("seen", 0)], validation_of(data), EditConfig(trials=3, seed=4)
    )
    for name in ("test", "test-adversarial"):  # the choice needs no test images to be there
        shutil.move(data / name, data / f"away-{name}")
    real_open = Image.open

    def spying_open(path, *args, **kwargs):
        assert "away" not in str(path)
        return real_open(path, *args, **kwargs)

    monkeypatch.setattr(Image, "open", spying_open)
    again = choose_all(
        bench_of(data), [TEXT, ("seen", 0)], validation_of(data), EditConfig(trials=3, seed=4)
    )
    assert again == honest


def test_an_edit_that_only_hurts_is_not_made(data):
    choices = choose_all(bench_of(data), [("seen", 0), ("seen", 1)],
                         validation_of(data), EditConfig(trials=1))  # fmt: skip
    assert choices[0].count == 0 and choices[0].units == ()
    (outcome, *_) = evaluate(bench_of(data), choices, {"test": lambda: opened(data, "test")})
    assert outcome.gain.value == 0


def test_without_adversarial_images_as_many_as_cost_nothing(data):
    only_plain = {"plain": opened(data, "validation")}
    choices = choose_all(bench_of(data), [TEXT, ("seen", 3), ("seen", 0), ("seen", 1)], only_plain,
                         EditConfig(trials=1, tolerance=0.0))  # fmt: skip
    assert set(choices[0].units) >= {TEXT, ("seen", 3)}
    assert not {("seen", 0), ("seen", 1)} <= set(choices[0].units)
    with pytest.raises(InputError, match="tolerance is 1"):
        UnitChooser(bench_of(data), only_plain, tolerance=1)


def test_goes_on_from_what_was_measured(data, tmp_path, monkeypatch):
    work = tmp_path / "kept"
    ablations = [{"seen": [u]} for u in range(6)] + [{}, {"seen": [0, 2]}]
    images = opened(data, "validation-adversarial")
    first = bench_of(data, work=work).measure(images, ablations)
    bench = bench_of(data, work=work)
    monkeypatch.setattr(bench._runner, "outputs", None)  # nothing may be run again
    second = bench.measure(images, ablations)
    assert np.array_equal(first.correct, second.correct)
    assert np.array_equal(first.logp, second.logp)
    # Other weights are another network.
    other = bench_of(data, work=work)
    other.model.fc.weight.data *= 2
    assert bench_of(data)._network != AblationEvaluator(
        other.model, other.points, images, batch_size=4
    )._network  # fmt: skip


def test_measures_what_a_plain_loop_does(data):
    bench = bench_of(data)
    images = opened(data, "validation-adversarial")
    ablations = [{"seen": [2]}, {}, {"seen": [0, 1]}, {"seen": [2]}]
    outcome = bench.measure(images, ablations)
    inputs = torch.stack([images.source.inputs(i) for i in range(len(images))])
    for row, ablation in enumerate(ablations):
        with torch.no_grad(), ablated(bench.model, bench.points, ablation):
            logp = bench.model(inputs).log_softmax(1)
        assert np.array_equal(outcome.correct[row], (logp.argmax(1) == images.labels).numpy())
        expected = logp[torch.arange(len(images)), images.labels].numpy()
        assert np.allclose(outcome.logp[row], expected, atol=1e-5)


def test_random_draws_are_of_all_units_alike(data):
    bench = bench_of(data)
    rng = np.random.default_rng(0)
    counts = np.zeros(6)
    for _ in range(3000):
        drawn = random_like([TEXT, ("seen", 5)], bench.points, rng)
        assert len(set(drawn)) == 2
        for _, unit in drawn:
            counts[unit] += 1
    # 1000 each; a standard deviation is 26.
    assert np.abs(counts - 1000).max() < 105


def test_random_baseline_is_unbiased(data):
    """The mean gain of draws is that of all choices of as many units, enumerated."""
    bench = bench_of(data)
    choices = choose_all(
        bench, [TEXT, ("seen", 3)], validation_of(data), EditConfig(trials=400, candidate_draws=0)
    )
    images = opened(data, "test-adversarial")
    outcomes = evaluate(bench, choices, {"test": lambda: images})
    gains = [o.gain.value for o in outcomes if o.method == RANDOM]
    assert choices[0].count == 1 and len(gains) == 400
    every = bench.measure(images, [{"seen": [unit]} for unit in range(6)]).accuracy
    base = bench.measure(images, [{}]).accuracy[0]
    expected = (every - base).mean()
    assert abs(np.mean(gains) - expected) < 3 * (every.std() / np.sqrt(400))


def test_activation_and_gradient_rank_the_reader_first(data):
    bench = bench_of(data)
    plain, adversarial = opened(data, "validation"), opened(data, "validation-adversarial")
    by_difference = by_activation(bench, plain, adversarial)
    assert set(by_difference[:2]) == {TEXT, ("seen", 3)}
    assert by_gradient(bench, adversarial)[0] == TEXT
    assert all(p.grad is None for p in bench.model.parameters())


def test_gradient_equals_the_difference_of_losses_of_small_changes(data):
    bench = bench_of(data)
    images = opened(data, "validation-adversarial")
    inputs = torch.stack([images.source.inputs(i) for i in range(len(images))])
    order = by_gradient(bench, images)
    step = 1e-3
    gains = []
    for unit in range(6):
        losses = []
        for scale in (1.0, 1.0 - step):
            changed = Reader().eval()
            changed.seen.weight.data[unit] *= scale
            with torch.no_grad():
                scores = changed.double()(inputs.double())
                losses.append(nn.functional.cross_entropy(scores, images.labels, reduction="sum"))
        gains.append(float(losses[0] - losses[1]) / step)
    # Units that nothing depends on are equal.
    assert order[0] == ("seen", int(np.argmax(gains)))
    assert order[-1] == ("seen", int(np.argmin(gains)))


def test_last_layer_is_trained_from_what_is_left(data):
    bench = bench_of(data)
    train = opened(data, "train-adversarial")
    assert last_layer(bench.model, train.example()) == "fc"
    before = {k: v.clone() for k, v in bench.model.state_dict().items()}
    outcome = finetune(bench, {"seen": [0]}, train, validation_of(data),
                     epochs=60, learning_rate=0.1)  # fmt: skip
    assert all(torch.equal(v, before[k]) for k, v in bench.model.state_dict().items())
    assert outcome.layer == "fc" and outcome.scores[outcome.epochs] == max(outcome.scores)
    assert outcome.scores[outcome.epochs] > outcome.scores[0]
    with torch.no_grad():
        for name, images in validation_of(data).items():
            inputs = torch.stack([images.source.inputs(i) for i in range(len(images))])
            with ablated(outcome.model, bench.points, {"seen": [0]}):
                rate = float((outcome.model(inputs).argmax(1) == images.labels).float().mean())
            assert rate >= 0.5, name
    fc = find_hook_points(bench.model, ["seen", "fc"], (train.example(),))
    with pytest.raises(InputError, match="'fc'"):
        finetune(AblationEvaluator(bench.model, fc, train), {"fc": [1]}, train, validation_of(data))


def test_choices_are_written_whole(data, tmp_path):
    choices = choose_all(
        bench_of(data), [TEXT], {"plain": opened(data, "validation")}, EditConfig(trials=1)
    )
    save_choices(choices, tmp_path / "choices.json")
    read = json.loads((tmp_path / "choices.json").read_text())
    assert [entry["method"] for entry in read] == [c.method for c in choices]


def test_mistakes_are_named(data, tmp_path):
    bench = bench_of(data)
    with pytest.raises(InputError, match="validation"):
        UnitChooser(bench, {})
    with pytest.raises(InputError, match="no candidates"):
        UnitChooser(bench, {"plain": opened(data, "validation")}).choose([], "descriptions")
    shutil.rmtree(data / "validation" / "b-green")
    with pytest.raises(InputError, match=r"one class only \(a-red\)"):
        opened(data, "validation")
    Image.new("RGB", (8, 8)).save(data / "test" / "loose.png")
    with pytest.raises(InputError, match=r"loose\.png"):
        opened(data, "test")
    (data / "test" / "loose.png").unlink()
    with pytest.raises(InputError, match="2 classes and the network tells 1000"):
        check_alike({"test": opened(data, "test")}, 1000)
    listed = tmp_path / "classes.csv"
    listed.write_text("folder,name,index\na-red,red things,7\nb-green,green things,3\n")
    images = ClassImages(data / "test", PLAIN, read_classes(listed))
    assert set(images.labels.tolist()) == {7, 3} and images.classes == (
        "red things",
        "green things",
    )
    check_alike({"test": images}, 1000)
    listed.write_text("folder,name,index\na-red,red things,x\n")
    with pytest.raises(InputError, match="line 2"):
        read_classes(listed)
    listed.write_text("folder,name,index\na-rad,red things,1\n")
    with pytest.raises(InputError, match="lacks 'a-red'"):
        ClassImages(data / "test", PLAIN, read_classes(listed))
    (data / "train" / "a-red" / "000.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"000\.png"):
        list(opened(data, "train").batches(4))


def test_steps():
    assert steps(3) == [0, 1, 2, 3]
    long = steps(4000)
    assert long[0] == 0 and long[-1] == 4000 and len(long) <= 25 and sorted(set(long)) == long
