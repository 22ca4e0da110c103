"""Tests of the page: what is on it, and that nothing on it can do harm."""

from __future__ import annotations

import base64
import bz2
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from datasets import Dataset
from typer.testing import CliRunner

from benchmark.result import MetricInfo, Score
from leaderboard.commands import app
from leaderboard.pages import SITE
from leaderboard.render import render
from leaderboard.running import load_neurons
from milannotations.errors import InputError
from milannotations.page import PageKit
from tests.leaderboard.conftest import save_anew

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]></style><img src=x onerror=alert(1)>",
    "\"' onmouseover='alert(1)' x=\"",
    "javascript:alert(1)",
    "{{ 7 * 191 }}{% raw %}",
    "safe\u202egnp.exe\u2066\x00\x1b",
    "long" * 2500,
]


class Page(HTMLParser):
    """Collects elements, attributes and the text of scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._inside = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in self.raw else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.raw[self._inside].append(data)
        else:
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.elements if name in attrs]


def hostile_results(folder: Path, text: str, neurons: Dataset, save_result: Any) -> None:
    """Put a text into every field of a result that takes free text."""
    score = Score(value=0.6, low=0.5, high=0.7, n=len(neurons), signature=text)
    metric = MetricInfo(title=text, chance=0.5, description=text)
    save_result(
        folder,
        "hostile",
        {"identification": score, text: score},
        neurons=neurons,
        fingerprint=text,
        description=text,
        metrics={"identification": metric, text: metric},
        title=text[:200],
        authors=text[:500],
        paper=text[:500],
        training_data=[text],
        annotations_seen=text[:500],
        licence=text[:100],
        unscored={text: neurons},
    )

    def change(content: dict[str, Any]) -> None:
        content |= {"hardware": text, "versions": {text: text}}
        content["splits"]["test"]["references"] = text

    save_anew(folder / "hostile.json", result=change)


def site_pages(index: Path) -> dict[str, Page]:
    """Return every page of a site by its name."""
    folder = index.parent
    return {str(p.relative_to(folder)): Page(p) for p in sorted(folder.rglob("*.html"))}


@pytest.fixture
def page(results: Path, neurons: Dataset, network: Dataset, tmp_path: Path) -> Page:
    out = render(
        results,
        {"network": network, "test": neurons},
        tmp_path / "site",
        title="A fair title",
        split_notes={"test": "References come from a grammar.", "network": "Nobody annotated it."},
    )
    return Page(out)


def test_page_shows_methods_neurons_and_notes(page: Page) -> None:
    for text in ("A fair title", "Alpha", "Ada", "Identification", "0.900", "0.850–0.950"):
        assert text in page.text
    for text in ("References come from a grammar.", "Nobody annotated it.", "beta says conv1"):
        assert text in page.text
    cards = [attrs for tag, attrs in page.elements if attrs.get("class") == "card"]
    assert len(cards) == 8 + 6
    assert page.text.index("beta says conv1") < page.text.index("beta says head")  # board's order


def test_page_has_every_column_s_signature(page: Page) -> None:
    ids = {attrs.get("id") for _, attrs in page.elements}
    assert {"signature-1", "signature-2", "signature-3"} <= ids
    assert "signature-4" not in ids


def test_ids_are_unique(page: Page) -> None:
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))


def test_page_loads_nothing_from_outside(page: Page) -> None:
    assert all(re.fullmatch(r"pictures/split-\d/\d+\.(jpg|png)", s) for s in page.attributes("src"))
    links = [attrs["href"] or "" for tag, attrs in page.elements if tag == "link"]
    assert [link for link in links if not link.startswith("data:")] == ["style.css"]
    css = PageKit(SITE).style
    assert "url(" not in css
    assert "@import" not in css
    assert not {"iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.elements}


def test_every_link_leads_somewhere(results: Path, neurons: Dataset, tmp_path: Path) -> None:
    index = render(results, {"test": neurons}, tmp_path / "site")
    pages = site_pages(index)
    ids = {name: {attrs.get("id") for _, attrs in page.elements} for name, page in pages.items()}
    seen = 0
    for name, page in pages.items():
        for href in page.attributes("href"):
            if href.startswith("data:"):
                continue
            path, _, fragment = href.partition("#")
            target = (index.parent / name).parent / path if path else index.parent / name
            assert target.resolve().is_file(), (name, href)
            other = str(target.resolve().relative_to(index.parent.resolve()))
            if fragment and other not in ("neuron.html", "compare.html"):
                assert fragment in ids[other], (name, href)
            seen += 1
    assert seen > 50


def test_every_page_s_policy_admits_only_the_site_s_style_and_its_own_script(
    results: Path, neurons: Dataset, tmp_path: Path
) -> None:
    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    pages = site_pages(render(results, {"test": neurons}, tmp_path / "site"))
    assert {"index.html", "neuron.html", "compare.html", "rules.html"} < set(pages)
    assert "methods/alpha.html" in pages
    for name, page in pages.items():
        policies = [
            attrs["content"] or ""
            for _, attrs in page.elements
            if attrs.get("http-equiv") == "Content-Security-Policy"
        ]
        loads = name in ("neuron.html", "compare.html")
        assert len(policies) == 1 + loads, name
        assert "default-src 'none'" in policies[0]
        assert "unsafe" not in " ".join(policies)
        assert "style-src 'self';" in policies[0]
        assert not page.raw["style"]  # the policy would drop it
        scripts = page.raw["script"]
        for policy in policies:
            assert (f"sha256-{digest(scripts[-1])}" if scripts else "script-src 'none'") in policy
        assert ("'strict-dynamic'" in policies[0]) == loads
        assert not page.attributes("style")  # the policy would drop them


def test_same_input_gives_the_same_bytes(results: Path, neurons: Dataset, tmp_path: Path) -> None:
    pages = [render(results, {"test": neurons}, tmp_path / f"{i}") for i in range(2)]
    first, second = (
        {p.relative_to(page.parent): p.read_bytes() for p in page.parent.rglob("*") if p.is_file()}
        for page in pages
    )
    assert first == second
    assert len(first) > 20


def test_page_stays_small(tmp_path: Path, make_neurons: Any, save_result: Any) -> None:
    neurons = make_neurons([f"layer{i}" for i in range(6)], 8)  # of noise, the worst for JPEG
    for i in range(9):
        save_result(tmp_path / "results", f"m{i}", {"identification": 0.5}, neurons=neurons)
    out = render(tmp_path / "results", {"test": neurons}, tmp_path / "site", gallery_size=48)
    assert out.stat().st_size < 500_000
    whole = sum(path.stat().st_size for path in out.parent.rglob("*") if path.is_file())
    assert whole < 6_000_000


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_text(
    tmp_path: Path, make_neurons: Any, save_result: Any, text: str
) -> None:
    neurons = make_neurons(["conv1", text], 1, references=[text, text], model=text)
    hostile_results(tmp_path / "results", text, neurons, save_result)
    out = render(
        tmp_path / "results",
        {"test": neurons, text: neurons},
        tmp_path / "site",
        title=text,
        split_notes={"test": text, text: text},
    )
    pages = site_pages(out)
    assert len(pages) == 5
    for name, page in pages.items():
        tags = [tag for tag, _ in page.elements]
        with_script = name in ("index.html", "neuron.html", "compare.html")
        assert tags.count("script") == 2 * with_script, name
        assert tags.count("style") == 0
        assert tags.count("link") == 2
        # The two neurons on both splits, with their overlays.
        assert tags.count("img") == (4 * 2 if name == "index.html" else 0)
        for _, attrs in page.elements:
            assert not [key for key in attrs if key.startswith("on")]
            assert not (attrs.get("href") or "").lower().startswith("javascript:")
        if with_script:
            json.loads(page.raw["script"][0])  # one intact block
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page.source)
        assert "1337" not in page.text  # no template in a template
        assert "long" * 501 not in page.source
    for path in out.parent.rglob("*"):
        assert re.fullmatch(r"[a-z0-9.-]+", path.name), path  # no text of theirs names a file


@pytest.mark.parametrize(
    ("address", "linked"),
    [
        ("https://example.org/paper", True),
        ("A title, 2024", False),
        ("javascript:alert(1)", False),
        ("data:text/html,<script>alert(1)</script>", False),
        ("https://example.org/ and more", False),
    ],
)
def test_only_web_addresses_become_links(
    tmp_path: Path, save_result: Any, address: str, linked: bool
) -> None:
    save_result(tmp_path / "r", "m", {"identification": 0.5}, paper=address)
    index = render(tmp_path / "r", {}, tmp_path / "site")
    page = Page(index.parent / "methods" / "m.html")
    assert (address in page.attributes("href")) is linked
    assert address in page.text


def test_extreme_numbers_do_not_break_the_page(
    tmp_path: Path, make_neurons: Any, save_result: Any
) -> None:
    for name, value in (("up", 1.7e308), ("down", -1.7e308), ("zero", 0.0)):
        score = Score(value=value, low=value, high=value, n=1, signature="s")
        save_result(tmp_path / "r", name, {"loss": score}, neurons=make_neurons(["a"], 1))
    page = Page(render(tmp_path / "r", {}, tmp_path / "site", main_metric="loss"))
    assert "1.7e+308" in page.text
    assert "nan" not in " ".join(page.attributes("d") + page.attributes("cx"))


def test_a_page_without_scores_or_gallery(tmp_path: Path, save_result: Any) -> None:
    save_result(tmp_path / "r", "m")
    page = Page(render(tmp_path / "r", {}, tmp_path / "site"))
    ids = page.attributes("id")
    assert "gallery" not in ids
    assert "signatures" not in ids


def test_neurons_without_images_are_shown_with_their_words(
    tmp_path: Path, make_neurons: Any, save_result: Any
) -> None:
    neurons = make_neurons(images=False)
    save_result(tmp_path / "r", "m", {"identification": 0.5}, neurons=neurons)
    page = Page(render(tmp_path / "r", {"test": neurons}, tmp_path / "site"))
    assert "Source images are not attached." in page.text
    assert "m says conv1" in page.text


def test_a_note_for_no_split_is_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'tset', which is in no result; did you mean 'test'"):
        render(results, {}, tmp_path / "site", split_notes={"tset": "x"})


def test_an_error_leaves_the_old_site(
    results: Path, tmp_path: Path, neurons: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "site"
    old = render(results, {}, out).read_bytes()
    with pytest.raises(InputError):
        render(results, {"nowhere": neurons}, out)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("leaderboard.render.write_downloads", interrupt)
    with pytest.raises(KeyboardInterrupt):
        render(results, {"test": neurons}, out)
    assert (out / "index.html").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir() if "site" in path.name] == ["site"]


def test_a_site_is_replaced_and_nothing_else(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    render(results, {}, out)
    (results / "gamma.json").unlink()
    render(results, {}, out)
    assert not (out / "methods" / "gamma.html").exists()
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "index.html").write_text("my thesis")
    with pytest.raises(InputError, match="no leaderboard site"):
        render(results, {}, other)
    with pytest.raises(InputError, match="is a file"):
        render(results, {}, other / "index.html")


def test_a_refused_column_says_why(results: Path, tmp_path: Path) -> None:
    def refuse(plain: dict[str, Any]) -> None:
        plain["splits"].pop("test")
        plain["refused"] = {"test": "trained on shapes/test"}

    save_anew(results / "beta.json", result=refuse, table=lambda t: t[t["split"] != "test"])
    index = render(results, {}, tmp_path / "site")
    pages = site_pages(index)
    assert "refused: trained on shapes/test" in pages["index.html"].text
    assert "Refused on test: trained on shapes/test." in " ".join(
        pages["methods/beta.html"].text.split()
    )
    with (index.parent / "data" / "board.csv").open(newline="") as file:
        reasons = {row["method"]: row["refused"] for row in csv.DictReader(file) if row["refused"]}
    assert reasons == {"beta": "trained on shapes/test"}


def _tamper(results: Path) -> None:
    path = results / "gamma.json"
    plain = json.loads(path.read_text())
    plain["splits"]["test"]["scores"]["identification"]["value"] = 0.999
    path.write_text(json.dumps(plain))


def test_a_row_that_disagrees_with_its_table_is_not_shown(results: Path, tmp_path: Path) -> None:
    _tamper(results)
    (results / "alpha.per_neuron.parquet").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        render(results, {}, tmp_path / "site")
    message = str(caught.value)
    assert "2 of the results" in message
    assert "--leave-out" in message
    assert "gamma.json disagrees with its table gamma.per_neuron.parquet" in message
    assert (
        "splits.test.scores.identification.value is 0.999, but the mean of the table is " in message
    )
    assert "alpha.per_neuron.parquet: not a Parquet table" in message
    assert not (tmp_path / "site").exists()


def test_a_bad_row_does_not_keep_others_from_being_ranked(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads(
        (render(results, {}, tmp_path / "site").parent / "data" / "board.json").read_text()
    )
    _tamper(results)
    index = render(results, {}, tmp_path / "site", leave_out=True)
    page = site_pages(index)["index.html"]
    words = " ".join(page.text.split())
    assert "1 result is not on this board" in words
    assert "gamma.json disagrees with its table" in words
    assert str(results) not in page.source
    assert "left out: " in capsys.readouterr().err
    after = json.loads((index.parent / "data" / "board.json").read_text())
    ranks = [
        {row["result"]["method"]["name"]: row["rank"] for row in board["rows"]}
        for board in (before, after)
    ]
    assert "gamma" in ranks[0]
    assert ranks[1] == {name: rank for name, rank in ranks[0].items() if name != "gamma"}
    assert not (index.parent / "methods" / "gamma.html").exists()


def test_nothing_is_rendered_where_every_row_is_bad(results: Path, tmp_path: Path) -> None:
    for path in results.glob("*.parquet"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="5 of the results"):
        render(results, {}, tmp_path / "site", leave_out=True)


def test_command_render_leaves_out_when_asked(results: Path, tmp_path: Path) -> None:
    _tamper(results)
    command = ["render", "--results", str(results), "--out", str(tmp_path / "site")]
    assert CliRunner().invoke(app, command).exit_code != 0
    assert CliRunner().invoke(app, [*command, "--leave-out"]).exit_code == 0


def test_a_method_s_page(results: Path, neurons: Dataset, tmp_path: Path) -> None:
    def values(table: pd.DataFrame) -> None:
        own = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
        table.loc[table["split"] == "test", "identification"] = own

    save_anew(
        results / "alpha.json", table=values,
        result=lambda r: r["splits"]["test"]["scores"]["identification"].update(value=0.55),
    )  # fmt: skip
    text = site_pages(render(results, {"test": neurons}, tmp_path / "site"))[
        "methods/alpha.html"
    ].text
    words = " ".join(text.split())
    assert "conv1 net 4 0.750" in words  # layer, network, n, mean
    assert "conv2 net 4 0.350" in words
    best = words[words.index("Best conv1") :]
    assert best.index("conv1 unit 0 0.90") < best.index("conv1 unit 1 0.80")
    assert best.index("Worst conv2 unit 3 0.20") > best.index("conv1 unit 3 0.60")
    assert "a red circle · round things · discs" in words


def test_downloads_hold_everything(results: Path, neurons: Dataset, tmp_path: Path) -> None:
    folder = render(results, {"test": neurons}, tmp_path / "site").parent / "data"
    with (folder / "board.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 2 + 1 + 1  # four methods and people, as many metrics as each has
    board = json.loads((folder / "board.json").read_text())
    assert board["rows"][0]["result"]["method"]["name"] == "people"
    table = pd.read_csv(folder / "alpha.csv.bz2")
    own = pd.read_parquet(results / "alpha.per_neuron.parquet")
    assert len(table) == len(own) == 14
    merged = table.merge(own, on=["split", "model", "dataset", "layer", "unit"])
    assert (merged["description_x"] == merged["description_y"]).all()
    assert merged["identification_x"].equals(merged["identification_y"].astype(float))
    plain = json.loads(bz2.decompress((folder / "alpha.json.bz2").read_bytes()))
    assert len(plain) == 14
    assert plain[0]["scores"]["bleu"] == 0.1


def test_downloads_run_no_formula(tmp_path: Path, make_neurons: Any, save_result: Any) -> None:
    evil = '=HYPERLINK("http://x")'
    neurons = make_neurons([evil], 1, model=evil)
    save_result(
        tmp_path / "r", "m", {"identification": 0.5}, neurons=neurons, description=evil,
        title=evil, fingerprint=evil,
    )  # fmt: skip
    folder = render(tmp_path / "r", {"test": neurons}, tmp_path / "site").parent / "data"
    for text in (
        (folder / "board.csv").read_text(),
        bz2.decompress((folder / "m.csv.bz2").read_bytes()).decode(),
    ):
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert "'" + evil in cells
        assert not [cell for cell in cells if cell[:1] in ("=", "+", "@", "-", "\t", "\r")]


# The command ----------------------------------------------------------------------------------


def test_command_renders(results: Path, neurons: Dataset, network: Dataset, tmp_path: Path) -> None:
    neurons.to_parquet(tmp_path / "neurons.parquet")
    network.save_to_disk(tmp_path / "network")
    arguments = ["render", "--results", str(results), "--out", str(tmp_path / "site")]
    arguments += ["--neurons", f"test={tmp_path / 'neurons.parquet'}"]
    arguments += ["--neurons", f"network={tmp_path / 'network'}", "--note", "test=a = b"]
    outcome = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0
    assert "wrote" in outcome.output
    assert "a = b" in Page(tmp_path / "site" / "index.html").text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["test"], "write it as NAME=VALUE"),
        (["=x"], "write it as NAME=VALUE"),
        (["test=/nowhere/at/all"], "does not exist"),
        (["test=a", "test=b"], "names 'test' twice"),
    ],
)
def test_command_refuses(results: Path, tmp_path: Path, values: list[str], message: str) -> None:
    arguments = ["render", "--results", str(results), "--out", str(tmp_path / "site")]
    for value in values:
        arguments += ["--neurons", value]
    outcome = CliRunner().invoke(app, arguments)
    assert isinstance(outcome.exception, InputError)
    assert message in str(outcome.exception)


def test_load_neurons_reads_a_folder_of_parquet_by_split(neurons: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "folder" / "data"
    folder.mkdir(parents=True)
    neurons.select([0, 1]).to_parquet(folder / "train-0.parquet")
    neurons.select([2]).to_parquet(folder / "test-0.parquet")
    assert len(load_neurons(str(folder.parent), "test")) == 1
    with pytest.raises(InputError, match="has the splits"):
        load_neurons(str(folder.parent), "network")


def test_load_neurons_refuses_other_tables(tmp_path: Path) -> None:
    Dataset.from_dict({"layer": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="lacks the columns"):
        load_neurons(str(tmp_path / "other.parquet"), "test")
    (tmp_path / "broken.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match="no complete Parquet file"):
        load_neurons(str(tmp_path / "broken.parquet"), "test")
