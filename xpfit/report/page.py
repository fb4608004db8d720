"""HTML: a self-contained page, for screens of any size, light or dark, and screen readers."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.figure import Figure
from PIL import Image

DPI = 200

COLOURS = 128
"""Of figures with many points, which makes them a third as large as with all colours."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What browsers may load: nothing that is not in the page itself."""

LIGHTS = {
    "good": ("good", "\u25cf"),
    "fair": ("fair", "\u25b2"),
    "poor": ("poor", "\u25a0"),
    "none": ("no judgement", "\u2013"),
}
"""Word and sign of each verdict, since not all readers can distinguish the colours."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #f3f5f7;
  --line: #c9d0d8; --link: #0a58a8; --good: #00694a; --fair: #8a5a00; --poor: #a3260f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --paper: #15181c; --soft: #1f242a;
  --line: #454d57; --link: #7cb8f2; --good: #4fcf9f; --fair: #f0b95a; --poor: #ff8a70; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main, header { max-width: 66rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; padding: 0; list-style: none; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0 1rem; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
figure { margin: 1rem 0; } figcaption { font-size: .92rem; margin-top: .3rem; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: .4rem;
  border: 1px solid var(--line); }
.light { font-weight: 600; } .good { color: var(--good); } .fair { color: var(--fair); }
.poor { color: var(--poor); }
.note { background: var(--soft); border-left: .3rem solid var(--line); padding: .5rem .8rem; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: .5rem; }
footer { max-width: 66rem; margin: 2.5rem auto 1.5rem; padding: 0 1rem; font-size: .9rem; }
"""


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
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<h1>{escape(title)}</h1>
<p>{escape(subtitle)}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main id="content">
{bodies}
</main>
<footer>{escape(footer)}</footer>
</body>
</html>
"""


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """A highlighted paragraph."""
    return f'<p class="note">{escape(text)}</p>'


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def details(summary: str, body: str) -> str:
    """HTML that is folded away."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


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
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{_cell(cell)}</th>' if i == 0 else f"<td>{_cell(cell)}</td>"
            for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    """Content of a cell."""
    return text if text.startswith('<span class="light') else escape(text)


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
    content = _svg(figure) if vector else _png(figure)
    mime = "image/svg+xml" if vector else "image/png"
    source = base64.b64encode(content).decode("ascii")
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return (
        f'<figure><img src="data:{mime};base64,{source}" alt="{escape(alt)}" '
        f'width="{width}" height="{height}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _svg(figure: Figure) -> bytes:
    """The figure as SVG, the same for the same figure."""
    data = io.BytesIO()
    figure.savefig(data, format="svg", dpi=DPI, metadata={"Date": None})
    return data.getvalue()


def _png(figure: Figure) -> bytes:
    """The figure as PNG with few colours."""
    whole, small = io.BytesIO(), io.BytesIO()
    figure.savefig(whole, format="png", dpi=DPI)
    whole.seek(0)
    with Image.open(whole) as image:
        image.convert("RGB").quantize(COLOURS).save(small, format="png", optimize=True)
    return small.getvalue()
