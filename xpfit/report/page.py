"""HTML: a self-contained page, for screens of any size, light or dark, and screen readers."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

DPI = 200

COLOURS = 128
"""Of figures with many points, which makes them a third as large as with all colours."""

LIGHTS = {
    "good": ("good", "\u25cf"),
    "fair": ("fair", "\u25b2"),
    "poor": ("poor", "\u25a0"),
    "none": ("no judgement", "\u2013"),
}
"""Word and sign of each verdict, since not all readers can distinguish the colours."""


_TEMPLATES = Environment(
    loader=PackageLoader("xpfit", "report"), autoescape=True, undefined=StrictUndefined
)
"""Everything is escaped but what comes from a template itself."""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    name : str
        By which links find it.
    title : str
    body : markupsafe.Markup
        From the functions below.
    """

    name: str
    title: str
    body: Markup


def page(title: str, subtitle: str, sections: Sequence[Section], footer: str) -> str:
    """The whole page.

    Parameters
    ----------
    title, subtitle, footer : str
        Text.
    sections : sequence of Section

    Returns
    -------
    str
        HTML5.
    """
    template = _TEMPLATES.get_template("page.html")
    return template.render(title=title, subtitle=subtitle, sections=sections, footer=footer)


def _part(name: str, *arguments: object) -> Markup:
    """A macro of ``parts.html``, called."""
    return getattr(_TEMPLATES.get_template("parts.html").module, name)(*arguments)


def paragraph(text: str) -> Markup:
    """A paragraph of plain text."""
    return _part("paragraph", text)


def note(text: str) -> Markup:
    """A highlighted paragraph."""
    return _part("note", text)


def heading(text: str) -> Markup:
    """A heading within a section."""
    return _part("heading", text)


def details(summary: str, body: Markup) -> Markup:
    """Something that is shown when a reader asks for it."""
    return _part("details", summary, body)


def light(kind: str) -> Markup:
    """A traffic light: one of `LIGHTS`."""
    return _part("light", kind, *LIGHTS[kind])


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table, the first column of which names the rows.

    Parameters
    ----------
    caption : str
    head : sequence of str
    rows : sequence of sequence of str
        Text, or what `light` returns.

    Returns
    -------
    markupsafe.Markup
    """
    return _part("table", caption, head, rows)


def picture(figure: Figure, alt: str, caption: str, *, vector: bool = False) -> Markup:
    """A figure within the page.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        Description for readers who cannot see it.
    caption : str
    vector : bool
        SVG, for lines; else PNG with 200 dpi, for many points.

    Returns
    -------
    markupsafe.Markup
    """
    data = io.BytesIO()
    if vector:
        figure.savefig(data, format="svg", dpi=DPI, metadata={"Date": None})
    else:
        figure.savefig(whole := io.BytesIO(), format="png", dpi=DPI)
        with Image.open(whole) as image:
            image.convert("RGB").quantize(COLOURS).save(data, format="png", optimize=True)
    mime = "image/svg+xml" if vector else "image/png"
    source = base64.b64encode(data.getvalue()).decode("ascii")
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return _part("picture", f"data:{mime};base64,{source}", alt, caption, width, height)
