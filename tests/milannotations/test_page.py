"""Tests of what makes texts of others harmless on a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from markupsafe import Markup

from milannotations.page import as_json, content_policies, environment
from milannotations.untrusted_text import MAX_TEXT, clean, clip


def test_json_holds_no_markup_and_reads_back() -> None:
    data = {"</script><!--": ["a & b", "\u2028\u202e", "\x00", 1.5, None]}
    text = as_json(data)
    assert not re.search(r"[<>&]|[^\x20-\x7e]", text)
    assert json.loads(text) == data


def test_json_refuses_numbers_that_no_browser_reads() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json([float("nan")])


def test_clean_takes_out_what_cannot_be_seen_and_clips() -> None:
    assert clean("a\u202eb\u2066c\x00d\ud800e\tf") == "abc d e f"
    assert len(clean("x" * 10_000)) == MAX_TEXT
    assert clean("العربية, naïve 日本") == "العربية, naïve 日本"
    assert clean(Markup("<b>\u202e")) == "<b>\u202e"
    assert clean(7) == 7


def test_clip_shows_that_it_has_cut() -> None:
    assert clip("a long text", 7) == "a long…"
    assert clip("a text", 6) == "a text"


def test_templates_escape_and_clean_every_value(tmp_path: Path) -> None:
    (tmp_path / "page.j2").write_text("<p title='{{ text }}'>{{ text | clip(5) }}</p>")
    page = environment(tmp_path).get_template("page.j2").render(text="'<b>\u202e</b>")
    assert page == "<p title='&#39;&lt;b&gt;&lt;/b&gt;'>&#39;&lt;b&gt;…</p>"


def test_policy_admits_by_hash() -> None:
    (policy,) = content_policies("body {}", "alert(1)")
    assert policy.startswith("default-src 'none';")
    assert "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='" in policy
    assert "unsafe" not in policy


def test_every_page_has_its_policy_from_the_kit() -> None:
    root = Path(__file__).parents[2]
    templates = {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for package in ("milannotations", "benchmark", "baselines", "applications", "leaderboard")
        for path in (root / package).rglob("*.html.j2")
    }
    assert len(templates) > 5
    with_policy = [name for name, text in templates.items() if "Content-Security-Policy" in text]
    assert with_policy == ["milannotations/base.html.j2"]
    for name, text in templates.items():
        assert name in with_policy or text.startswith('{% extends "base.html.j2" %}'), name
