"""HTML: a self-contained page, for screens of any size, light or dark, and screen readers."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template

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


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    name : str
        By which links find it.
    title : str
    body : str
        HTML.
    """

    name: str
    title: str
    body: str


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
    links = "".join(f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in sections)
    bodies = "\n".join(
        f'<section id="{s.name}" aria-labelledby="{s.name}-title">'
        f'<h2 id="{s.name}-title">{escape(s.title)}</h2>\n{s.body}\n</section>'
        for s in sections
    )
    template = resources.files("xpfit.report").joinpath("page.html").read_text(encoding="utf-8")
    texts = {"title": title, "subtitle": subtitle, "footer": footer}
    texts = {name: escape(text) for name, text in texts.items()}
    return Template(template).substitute(texts, links=links, bodies=bodies)


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """A highlighted paragraph."""
    return f'<p class="note">{escape(text)}</p>'


def light(kind: str) -> str:
    """A traffic light, as HTML: one of `LIGHTS`."""
    word, sign = LIGHTS[kind]
    return f'<span class="light {kind}"><span aria-hidden="true">{sign}</span> {word}</span>'


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, the first column of which names the rows.

    Parameters
    ----------
    caption : str
    head : sequence of str
    rows : sequence of sequence of str
        Text; from `light`, HTML.

    Returns
    -------
    str
    """
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = ""
    for name, *cells in rows:
        cells = (cell if cell.startswith('<span class="light') else escape(cell) for cell in cells)
        columns = "".join(f"<td>{cell}</td>" for cell in cells)
        body += f'<tr><th scope="row">{escape(name)}</th>{columns}</tr>\n'
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def picture(figure: Figure, alt: str, caption: str, *, vector: bool = False) -> str:
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
    str
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
    return (
        f'<figure><img src="data:{mime};base64,{source}" alt="{escape(alt)}" '
        f'width="{width}" height="{height}"><figcaption>{escape(caption)}</figcaption></figure>'
    )
