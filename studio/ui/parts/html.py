"""Pieces of HTML that several pages share. Everything that came from outside is escaped here, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from studio.domain.persona import Sample
from studio.texts.texts import Texts

__all__ = [
    "ACTIONS", "PAGES", "button", "card", "curve", "drop", "empty", "file_url", "gauge", "grid", "head", "nav", "panel",
    "picture", "samples", "scatter", "table", "thumb_url",
    "undo_card",
]  # fmt: skip

PAGES = (
    "design", "select", "consolidate", "scenes", "posts", "library", "dataset", "taste", "lab", "settings",
)  # fmt: skip

# One listener for all our HTML: whatever has data-do tells Python its data; the focus survives a redrawing.
ACTIONS = "".join(
    (Path(__file__).resolve().parent / name).read_text(encoding="utf-8") for name in ("actions.js", "boxes.js")
)


def file_url(key: str, name: str = "") -> str:
    return f"/files/{key}" + (f"?name={quote(name)}" if name else "")


def thumb_url(key: str, width: int = 320) -> str:
    return f"/thumbs/{key}?width={width}"


def picture(key: str, alt: str, width: int = 320, large: str = "") -> str:
    """A picture's thumbnail; enlarged it is the picture itself, or the one of the key `large`."""
    more = f' data-large="{file_url(large)}"' if large and large != key else ""
    return f'<img src="{thumb_url(key, width)}" alt="{escape(alt)}" loading="lazy" width="{width}"{more}>'


def button(
    label: str, do: str, *, pressed: bool | None = None, big: bool = False, quiet: bool = False, title: str = "",
    **data: Any,
) -> str:  # fmt: skip
    """Tells the page's handler `do` and the data; its name for those who hear it has the words that are seen. A `quiet`
    one takes something away: small, and apart from the others.
    """
    facts = "".join(f' data-{k}="{escape(str(v))}"' for k, v in {"do": do, **data}.items())
    key = escape("-".join(str(v) for v in (do, *data.values())))
    state = "" if pressed is None else f' aria-pressed="{str(pressed).lower()}"'
    seen = label.casefold() in title.casefold() or not any(map(str.isalnum, label))
    hint = f' title="{escape(title)}" aria-label="{escape(title if seen else f"{label}: {title}")}"' if title else ""
    kind = "st-btn big" if big else "st-btn quiet" if quiet else "st-btn"
    return f'<button type="button" class="{kind}"{facts} data-key="{key}"{state}{hint}>{escape(label)}</button>'


def link(label: str, url: str, *, big: bool = True, name: str = "", download: bool = False) -> str:
    extra = (f' id="{name}"' if name else "") + (" download" if download else "")
    return f'<a class="st-btn{" big" if big else ""}" href="{escape(url)}"{extra}>{escape(label)}</a>'


def drop(label: str, upload: str, accept: str, most_bytes: int, title: str = "", many: str = "") -> str:
    """Where a file can be dropped or chosen; the page's handler is told `upload` and the upload's token.

    `title` is the tooltip. `many`: "files" or a "folder" are chosen, and come as one tar.
    """
    hint = f' title="{escape(title)}"' if title else ""
    more = {"": "", "files": " data-many multiple", "folder": " data-many webkitdirectory"}[many]
    return (
        f'<label class="st-drop"{hint}>'
        f'<input type="file" data-upload="{upload}" data-most="{most_bytes}" accept="{accept}"{more}>'
        f'<span>{escape(label)}</span><progress max="1" value="0" hidden></progress></label>'
    )


def nav(t: Texts, current: str, who: str = "") -> str:
    """The way through the pages, the other language, and the way out for `who` is logged in."""
    here = {current: ' aria-current="page"'}
    links = "".join(
        f'<a href="/{t.language}/{page}"{here.get(page, "")}>{escape(t(f"{page}.nav"))}</a>' for page in PAGES
    )
    other = "zh" if t.language == "en" else "en"
    name = "中文" if other == "zh" else "English"
    switch = f'<a class="st-lang" href="/language/{other}?page={current}" lang="{other}">{name}</a>'
    if who:
        out = escape(t("login.out"))
        switch += (
            '<form class="st-who" method="post" action="/logout">'
            f'<a href="/{t.language}/settings#sessions">{escape(who)}</a>'
            f'<button class="st-btn">{out}</button></form>'
        )
    return f'<nav class="st-nav" aria-label="{escape(t("nav"))}"><strong>Persona Studio</strong>{links}{switch}</nav>'


def head(t: Texts, page: str) -> str:
    return f'<div class="st-head"><h1>{escape(t(f"{page}.title"))}</h1><p>{escape(t(f"{page}.intro"))}</p></div>'


def empty(text: str, link_html: str = "") -> str:
    return f'<div class="st-empty"><p>{escape(text)}</p>{link_html}</div>'


def card(image: str, body: Iterable[str], classes: str = "") -> str:
    """`image` and `body` are HTML already."""
    return f'<div class="st-card {classes}">{image}<div class="in">{"".join(body)}</div></div>'


def undo_card(t: Texts, name: str, **which: Any) -> str:
    """Stand in the place of what was just moved to the trash; its button tells `restore` and which."""
    undo = button(t("trash.undo"), "restore", title=t("trash.undo_what", name=name), **which)
    return f'<div class="st-gone" role="status"><span>{escape(t("trash.moved", name=name))}</span>{undo}</div>'


def grid(cards: Iterable[str]) -> str:
    return f'<div class="st-grid">{"".join(cards)}</div>'


def gauge(value: float, ceiling: float, label: str) -> str:
    """A bar of a similarity in [0, 1] with a mark at the ceiling."""
    share, mark = 100 * min(max(value, 0), 1), 100 * min(max(ceiling, 0), 1)
    over = ' class="over"' if value >= ceiling else ""
    text = escape(f"{label} {value:.2f} / {ceiling:.2f}")
    return (
        f'<span class="st-gauge" role="img" aria-label="{text}" title="{text}">'
        f'<i{over} style="width:{share:.0f}%"></i><b style="left:{mark:.0f}%"></b></span>'
    )


def panel(body: str, state: str = "") -> str:
    return f'<div class="st-panel {state}" role="status">{body}</div>'


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already, headers are not."""
    top = "".join(f"<th scope=col>{escape(h)}</th>" for h in headers)
    names = [escape(h, quote=True) for h in headers]  # a narrow page stacks the cells, each under its name
    body = "".join(
        "<tr>" + "".join(f'<td data-name="{n}">{cell}</td>' for n, cell in zip(names, row, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="st-scroll" tabindex="0"><table class="st-table"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def curve(points: Sequence[Sequence[float]], title: str, x: str, y: str) -> str:
    """A line through (x, y)."""
    if len(points) < 2:
        return ""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    low, high = min(ys), max(ys)
    px = [44 + 500 * (v - xs[0]) / ((xs[-1] - xs[0]) or 1) for v in xs]
    py = [176 - 150 * (v - low) / ((high - low) or 1) for v in ys]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px, py, strict=True))
    return (
        f'<svg class="st-chart" viewBox="0 0 560 210" role="img" aria-label="{escape(title)}: {ys[-1]:.3f}">'
        f'<text x="44" y="16">{escape(title)}</text><text x="4" y="30">{high:.2f}</text>'
        f'<text x="4" y="178">{low:.2f}</text><text x="44" y="200">{escape(x)} {xs[0]:.0f} … {xs[-1]:.0f}</text>'
        f'<text x="548" y="16" text-anchor="end">{escape(y)} {ys[-1]:.3f}</text>'
        f'<path d="M44 20V180H548" fill="none" stroke="#94a3b8"/>'
        f'<polyline points="{line}" fill="none" stroke="#0f766e" stroke-width="2"/></svg>'
    )


def samples(t: Texts, rows: Sequence[Sample]) -> str:
    """Show what was drawn at each checkpoint of a training, and how the likeness to the person went."""
    if not rows:
        return ""
    drawn = ""
    for row in rows:
        images = "".join(picture(key, t("samples.alt", step=row.step), 120) for key in row.pictures)
        words = t("samples.at", step=row.step, value=f"{row.identity:.2f}")
        drawn += f"<figure>{images}<figcaption>{escape(words)}</figcaption></figure>"
    name = t("samples.identity")
    likeness = curve([(row.step, row.identity) for row in rows], name, t("step"), name)
    return f'{likeness}<div class="st-strip st-samples" tabindex="0">{drawn}</div>'


def scatter(
    points: Sequence[tuple[float, float, bool, str]], title: str, x: str, y: str, gates: Sequence[float]
) -> str:
    """(x, y, kept, hint) in [0, 1]; `gates` are where x and y begin to pass."""

    def at(a: float, b: float) -> tuple[float, float]:
        return 40 + 500 * min(max(a, 0), 1), 300 - 280 * min(max(b, 0), 1)

    dots = "".join(
        f'<circle cx="{at(a, b)[0]:.1f}" cy="{at(a, b)[1]:.1f}" r="5" fill="{"#0f766e" if kept else "#b91c1c"}" '
        f'fill-opacity=".75"><title>{escape(hint)}</title></circle>'
        for a, b, kept, hint in points
    )
    gx, gy = at(gates[0], gates[1])
    return (
        f'<svg class="st-chart" viewBox="0 0 560 330" role="img" aria-label="{escape(title)}">'
        f'<path d="M40 20V300H545" fill="none" stroke="#94a3b8"/>'
        f'<path d="M{gx:.1f} 20V300M40 {gy:.1f}H545" stroke="#b45309" stroke-dasharray="4 4"/>{dots}'
        f'<text x="300" y="322">{escape(x)} →</text><text x="6" y="14">↑ {escape(y)}</text></svg>'
    )
