"""Whatever others wrote is plain text in Markdown: no markup, and no link by itself."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from benchmark.quality.rendering import escape_markdown
from milannotations.untrusted_text import as_markdown, clean

# What becomes a link without markup: the extended autolinks of the GFM specification (0.29, section
# 6.9), GitHub's references to people, issues and commits
# (docs.github.com, "Autolinked references and URLs"), and bare hosts, which linkify-it takes too.
AUTOLINKS = re.compile(
    r"(?:https?|ftp)://[^\s<]"
    r"|(?:mailto|xmpp):\S+@"
    r"|(?<![A-Za-z0-9])www\.[A-Za-z0-9_-]+"
    r"|[A-Za-z0-9._+-]+@[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+"
    r"|(?<![\w`])@[A-Za-z0-9](?:[A-Za-z0-9-]*)"
    r"|(?<!\w)#[0-9]+|\bGH-[0-9]+"
    r"|[\w-]+/[\w.-]+#[0-9]+|[\w-]+/[\w.-]+@[0-9a-f]{7,40}"
    r"|\b[0-9a-f]{7,40}\b"
    r"|//[A-Za-z0-9-]+\.[a-z]{2,}"
    r"|\b[A-Za-z0-9-]+\.(?:com|org|net|io|example|py|de|cn)\b"
    r"|(?<![^\W\d_])javascript:",
    re.IGNORECASE,
)
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
FRAMES = ("{}\n", "# {}\n", "- {}\n", "- *{}*\n", "| a | b |\n| --- | --- |\n| {} | {} |\n")

LINKS = [
    "http://evil.example", "HTTPS://EVIL.EXAMPLE/x?y=1", "ftp://host/file", "www.evil.example",
    "WWW.evil.com", "mailto:a@b.example", "xmpp:a@b.example", "a@b.example", "someone+x@host.com",
    "evil.com", "sub.evil.example/path", "//host.example/x", "javascript:alert(1)",
    "JavaScript:alert(1)", "data:text/html,x", "file:///etc/passwd", "@someone", "@org/team",
    "#123", "GH-12", "owner/repo#1", "owner/repo@deadbeef", "deadbeef1234567",
    "16c999e8c71134401a78d4d46435517b2271d6ac", "(http://evil.example)", "<http://evil.example>",
    "<a@b.example>", "[x](http://evil.example)", "![x](http://evil.example/p.png)",
    "[x]: http://evil.example", "`http://evil.example`", "x`http://evil.example", "http://a|b.com",
    "\\http://evil.example", "http\\://evil.example", "\\@someone", "\\\\@someone",
    "*http://evil.example*", "_www.evil.com_", "~~@someone~~", "**@someone**",
    "http://evil.example`@someone`", "``@someone``", "&#64;someone", "&commat;someone",
    "\uff57\uff57\uff57\uff0eevil\uff0ecom", "h\u200bttp://evil.example", "@\u200bsomeone",
    "evil\u3002com", "see http://evil.example, or @someone.", "a\nhttp://evil.example",
    "\u00a0@someone", "\thttp://evil.example", "'@someone'", '"@someone"', "x:@someone",
    "<a href='http://evil.example'>x</a>", "<img src=x onerror=alert(1)>", "<!-- @someone -->",
    "| a | b |", "1. http://evil.example", "- @someone", "# @someone", "> @someone", "$x$", "---",
    "===", "+ x", "10) x", "```", "~~~", "a  \nb", "\\", "http://evil.example\\", "`", "``", "`\\`",
]  # fmt: skip
HARMLESS = [
    "MILAN, trained on the demo's neurons", "CLIP-Dissect", "a red circle, or a dog (v2)",
    "85 % of it; e.g. the first", "Zellweger & Söhne", "日本語のテキスト", "naïve – well",
]  # fmt: skip


def inline(source: str) -> list[Token]:
    return [
        child
        for token in MARKDOWN.parse(source)
        if token.type == "inline"
        for child in token.children or ()
    ]


def check(text: str, write: object = as_markdown) -> None:
    written = write(text)  # type: ignore[operator]
    assert "\n" not in written
    shown = " ".join(clean(text).split())
    for frame in FRAMES if shown else ():
        source = frame.replace("{}", written)
        blocks = {token.type for token in MARKDOWN.parse(source)}
        assert blocks <= {
            "inline", "paragraph_open", "paragraph_close", "heading_open", "heading_close",
            "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close",
            "table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close",
            "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close",
        }, (source, blocks)  # fmt: skip
        children = inline(source)
        kinds = {child.type for child in children}
        assert kinds <= {"text", "code_inline", "em_open", "em_close", "text_special"}, source
        assert ("em_open" in kinds) == ("*{}*" in frame)
        # Code stands between the texts, so that no link begins in one and ends in another.
        plain = "".join(
            "\0" if child.type == "code_inline" else child.content for child in children
        )
        assert not AUTOLINKS.search(plain), (source, plain)
        whole = "".join(child.content for child in children)
        twice = frame.startswith("|")
        assert whole == ("ab" + 2 * shown if twice else shown), source


@pytest.mark.parametrize("text", [*LINKS, *HARMLESS])
def test_nothing_is_a_link_or_markup(text: str) -> None:
    check(text)
    check(f"before {text} after")


@pytest.mark.parametrize("text", HARMLESS)
def test_plain_texts_stay_as_they_are(text: str) -> None:
    assert "`" not in as_markdown(text)


@pytest.mark.parametrize("text", [text for text in LINKS if "\\" not in text])
def test_the_tables_of_quality_have_no_links_either(text: str) -> None:
    children = inline(f"| a |\n| --- |\n| x {escape_markdown(text)} |\n")
    assert not {child.type for child in children} & {"link_open", "image", "html_inline"}
    plain = "".join("\0" if child.type == "code_inline" else child.content for child in children)
    assert not AUTOLINKS.search(plain)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(LINKS), st.text(max_size=4)), max_size=4), st.data())
def test_no_mixture_is_a_link_or_markup(parts: list[str], data: st.DataObject) -> None:
    check(data.draw(st.sampled_from(["", " ", "|", "`", "\\"])).join(parts))
