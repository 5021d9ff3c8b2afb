"""A comparison as it was drawn: names over columns and beside rows, each picture with its scores and its use."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from pipelines.file_names import file_name
from studio.domain.checkpoints import DrawnAs, draw_as, say_checkpoint, say_drawn_as
from studio.domain.grid import Grid, GridCell, GridTable, table_of
from studio.jobs.line import say_job
from studio.library.drawn_as import drawn_as
from studio.library.records import JobRecord
from studio.ui.context import Ui
from studio.ui.parts.checkpoint_cards import show_drawn_as
from studio.ui.parts.html import button, empty, file_url, link, picture
from studio.ui.parts.job_list import show_moment
from studio.ui.parts.post_cards import show_arriving, show_scores

__all__ = ["show_grids"]

_MOST_LINKS = 20


def show_grids(ui: Ui, owner: str, key: str) -> str:
    """Return as HTML the comparison of this id ("": the newest), how far those are that are not done, and links to the
    others.
    """
    jobs = ui.queue.jobs(owner, _MOST_LINKS + 1, kind=Grid.kind)
    running = [job for job in jobs if job.state in ("queued", "running")]
    parts = [ui.job_panel(owner, job, strip=False) + show_arriving(ui, owner, job) for job in reversed(running)]
    if jobs and jobs[0].state in ("failed", "cancelled"):
        parts.append(ui.job_panel(owner, jobs[0]))
    done = [job for job in jobs if job.state == "done"]
    shown = ui.find(owner, Grid, key) if key else None if not done else ui.queue.result(done[0], Grid)
    if shown is not None:
        parts.append(_grid(ui, owner, shown))
    elif key:
        parts.append(empty(ui.t("grid.gone")))
    others = [job for job in done if shown is None or job.facts["id"] != shown.id]
    return "".join(parts) + _links(ui, others)


def _links(ui: Ui, jobs: list[JobRecord]) -> str:
    if not jobs:
        return ""
    rows = "".join(
        f'<li><a href="{ui.url("lab")}?grid={quote(str(job.facts["id"]))}">{escape(say_job(ui.t, job))}</a> '
        f"<span class='st-soft'>{show_moment(job.created)}</span></li>"
        for job in jobs
    )
    return f'<h3>{escape(ui.t("grid.earlier"))}</h3><ul class="st-list">{rows}</ul>'


def _grid(ui: Ui, owner: str, grid: Grid) -> str:
    t, table = ui.t, table_of(ui.t, grid)
    who = ", ".join(dict.fromkeys(persona.name for persona in grid.personas))
    title = t("grid.sheet_title", who=who, where=t.word(grid.scene), shot=t.word(grid.shot.framing))
    sheet = grid.sheet.get(t.language)
    save = ""
    if sheet is not None:
        name = file_name(who, f"-{grid.id[:6]}.png", "persona")
        save = link(t("grid.sheet"), file_url(sheet, name), big=False, download=True)
    used = "".join(show_drawn_as(ui, owner, persona) for persona in grid.personas)
    return (
        f'<div class="st-row"><h2>{escape(title)}</h2>{save}</div>{used}'
        f'<div class="st-scroll st-matrix" tabindex="0">{_table(ui, owner, grid, table)}</div>'
    )


def _table(ui: Ui, owner: str, grid: Grid, table: GridTable) -> str:
    t = ui.t
    best = max((mean for mean in table.likeness if mean is not None), default=None)
    heads = "<td></td>"
    for name, mean in zip(table.columns, table.likeness, strict=True):
        said = "" if mean is None else t("grid.mean", value=f"{mean:.2f}")
        mark = "★ " if mean is not None and mean == best and len(table.columns) > 1 else ""
        heads += f'<th scope="col">{escape(name)}<span class="st-soft">{mark}{escape(said)}</span></th>'
    chosen = {persona.id: drawn_as(ui.studio.records, owner, persona.id) for persona in grid.personas}
    rows = ""
    for name, cells in zip(table.rows, table.cells, strict=True):
        shown = "".join(
            f"<td>{_cell(ui, grid, cell, chosen, f'{name}, {column}')}</td>"
            for cell, column in zip(cells, table.columns, strict=True)
        )
        rows += f'<tr><th scope="row">{escape(name)}</th>{shown}</tr>'
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(ui: Ui, grid: Grid, cell: GridCell | None, chosen: dict[str, DrawnAs], name: str) -> str:
    """The picture, its scores, and a button that lets posts draw the persona so."""
    t = ui.t
    if cell is None:
        return '<div class="st-none">–</div>'
    if cell.picture is None:
        why = "" if cell.error is None else t.error(cell.error)
        return f'<div class="st-none st-bad">⚠ {escape(why)}</div>'
    persona = next(persona for persona in grid.personas if persona.id == cell.persona)
    scores = show_scores(ui, cell.scores)
    how = DrawnAs(scale=cell.scale, checkpoint=cell.checkpoint)
    said = say_drawn_as(t, draw_as(persona, how)) or t("drawn_as.usual")
    last = persona.samples[-1].step if persona.samples else 0
    step = 0 if cell.checkpoint == last else cell.checkpoint
    now = chosen[cell.persona] == DrawnAs(scale=cell.scale, checkpoint=step)
    use = button(
        t("grid.use"), "draw-as", pressed=now, title=t("grid.use_what", name=persona.name, how=said),
        persona=cell.persona, scale=cell.scale, checkpoint=step,
    )  # fmt: skip
    stage = say_checkpoint(t, persona, cell.checkpoint)
    alt = f"{persona.name}, {t('grid.strength', scale=f'{cell.scale:g}')}, {stage}: {name}"
    return f"<figure>{picture(cell.picture, alt, 240)}<figcaption>{scores}</figcaption>{use}</figure>"
