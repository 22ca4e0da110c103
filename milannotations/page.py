"""The kit from which every page of this project is made: templates, theme, scripts and policies.

Texts on a page were written by others. Jinja escapes them, ``untrusted_text.clean`` removes
characters that reorder or hide text, and a page's Content-Security-Policy admits, by hash, only
this package's styles and scripts.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from milannotations.untrusted_text import as_markdown, clean, clip

# Holds base.html.j2, which every page extends, theme.css, and page.js, which all scripts share.
KIT = Path(__file__).parent


class PageKit:
    """Renders the pages of one site or report.

    Args:
        folder: Holds the templates, the style sheet and the scripts. Templates extend
            ``base.html.j2`` and fill its blocks ``heading`` (the title) and ``body``.
        style: Name of the style sheet, which follows the theme.
        site: Whether the pages form a folder that holds their pictures; otherwise each page is a
            single file.
        linked_style: Whether pages link to ``style.css`` in that folder instead of holding it.
        generator: Names the program in the pages' metadata.
        filters: Further filters for the templates.
        tests: Further tests for the templates.

    Attributes:
        style: The theme and the style sheet.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "style.css").write_text("p { color: red }")
    ...     _ = (Path(folder) / "page.j2").write_text(
    ...         '{% extends "base.html.j2" %}{% block body %}<p>{{ text }}</p>{% endblock %}'
    ...     )
    ...     "<p>&lt;b&gt;</p>" in PageKit(Path(folder)).render("page.j2", text="<b>")
    True
    """

    def __init__(
        self,
        folder: Path,
        *,
        style: str = "style.css",
        site: bool = False,
        linked_style: bool = False,
        generator: str = "",
        filters: Mapping[str, Callable[..., Any]] | None = None,
        tests: Mapping[str, Callable[..., bool]] | None = None,
    ) -> None:
        self._folder = folder
        self._site = site
        self._linked_style = linked_style
        self._generator = generator
        self._environment = environment(folder, KIT)
        self._environment.filters.update(filters or {})
        self._environment.tests.update(tests or {})
        self.style = "\n\n".join(_text(path) for path in (KIT / "theme.css", folder / style))

    def render(
        self,
        template: str,
        *,
        scripts: Sequence[str] = (),
        data: Any = None,
        loads_scripts: bool = False,
        root: str = "",
        extra_style: str = "",
        **values: Any,
    ) -> str:
        """Return the HTML of one page.

        Args:
            template: Name of its template.
            scripts: Names of the scripts, which follow ``page.js`` in the page, in this order.
            data: Data that the scripts read from the element ``page-data``.
            loads_scripts: Whether the page's script loads further ones from the page's folder.
            root: Path from the page to the site's folder, such as ``../``.
            extra_style: Rules that follow the style sheet.
            **values: Values that the template prints.
        """
        paths = [KIT / "page.js", *(self._folder / name for name in scripts)] if scripts else []
        script = "\n".join(map(_text, paths))
        style = None if self._linked_style else "\n".join(filter(None, (self.style, extra_style)))
        return self._environment.get_template(template).render(
            **values,
            policies=content_policies(style, script, site=self._site, loads_scripts=loads_scripts),
            generator=self._generator,
            icon=self._site,
            root=root,
            style=None if style is None else Markup(style),
            script=Markup(script),
            data=None if data is None else as_json(data),
        )


def environment(*folders: Path) -> Environment:
    """Return a Jinja environment that escapes and cleans every value a template prints."""
    jinja = _environment(*folders, autoescape=True, finalize=clean)
    jinja.filters["clip"] = clip
    return jinja


def markdown_environment(*folders: Path) -> Environment:
    """Return a Jinja environment for cards in Markdown, with the filter ``plain``.

    Nothing is escaped automatically: texts that others wrote must go through ``plain``.
    """
    jinja = _environment(*folders, autoescape=False, keep_trailing_newline=True)
    jinja.filters["plain"] = as_markdown
    return jinja


def _environment(*folders: Path, **options: Any) -> Environment:
    return Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def hash_source(text: str) -> str:
    """Return the source expression by which a policy admits one inline style or script."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def content_policies(
    style: str | None, script: str, *, site: bool = False, loads_scripts: bool = False
) -> list[str]:
    """Return the Content-Security-Policies of a page; a browser enforces all of them.

    A page that loads scripts needs two. Under the first, scripts run only if they are the page's
    own or were loaded by its own script, not by markup. Under the second, they are loaded only
    from the page's folder.

    Args:
        style: The inline style sheet; None for one in the site's folder.
        script: The inline script; empty for none.
        site: Whether the page may show pictures from its site's folder, not only inline ones.
        loads_scripts: Whether the script loads further ones.

    >>> content_policies(None, "", site=True)[0].split("; ")[1:4]
    ["img-src 'self' data:", "style-src 'self'", "script-src 'none'"]
    """
    directives = {
        "default-src": "'none'",
        "img-src": "'self' data:" if site else "data:",
        "style-src": "'self'" if style is None else hash_source(style),
    }
    own = hash_source(script) if script else "'none'"
    if script or site:
        directives["script-src"] = f"{own} 'strict-dynamic'" if loads_scripts else own
    directives |= {"base-uri": "'none'", "form-action": "'none'"}
    policy = "; ".join(f"{name} {sources}" for name, sources in directives.items())
    return [policy, f"script-src {own} 'self'"] if loads_scripts else [policy]


def as_json(data: Any) -> Markup:
    """Serialize for a script element, without characters that HTML could read as markup.

    Raises:
        ValueError: If a number is not finite.
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
