"""A look before the export: each picture as the platform shows it, with its crop and label."""

from __future__ import annotations

from html import escape

from studio.domain.bundle import CheckedPicture, ExportCheck
from studio.domain.captions import Captions
from studio.domain.checked import say_checked, say_troubles
from studio.domain.platforms import find_platform
from studio.domain.posts import PostSet
from studio.library.results import jobs_of_set
from studio.ui.context import Ui
from studio.ui.parts.html import file_url, picture
from studio.ui.parts.post_cards import arrange_shown

__all__ = ["show_look"]


def show_look(ui: Ui, owner: str, post_set: PostSet) -> str:
    """The newest look at this set, or how far it is, and whether the set was changed since; and its captions while a
    language model writes them.
    """
    newest = {job.kind: job for job in reversed(jobs_of_set(ui.studio.records, owner, post_set.id))}
    writing, job = newest.get(Captions.kind), newest.get(ExportCheck.kind)
    said = "" if writing is None or writing.state == "done" else ui.job_panel(owner, writing, strip=False)
    if job is None or job.state != "done":
        return said + ui.job_panel(owner, job, strip=False)
    made = ui.queue.result(job, ExportCheck)
    captions = [slot.caption for slot in arrange_shown(ui, owner, post_set).shown]
    return said + _figures(ui, made, is_old=captions != [row.caption for row in made.pictures])


def _figures(ui: Ui, made: ExportCheck, is_old: bool) -> str:
    t, target = ui.t, find_platform(made.platform)
    is_old = is_old and not target.white_background  # it shows the goods alone
    wrong = sum(not row.is_fine for row in made.pictures)
    said = t("look.fine") if not wrong else t("look.wrong", count=wrong)
    title = t("look.title", platform=target.words[t.language])
    figures = "".join(_figure(ui, row, number) for number, row in enumerate(made.pictures, 1))
    ratio = f"{target.width}/{target.height}" if target.width else "auto"
    old = f'<p class="st-bad">⚠ {escape(t("look.old"))}</p>' if is_old else ""
    return (
        f'<div id="look" class="st-look" style="--shape:{ratio}"><h2>{escape(title)}</h2>'
        f'<p class="{"st-bad" if wrong else "st-soft"}">{escape(said)}</p>{old}'
        f'<div class="st-grid">{figures}</div></div>'
    )


def _figure(ui: Ui, row: CheckedPicture, number: int) -> str:
    said = say_checked(ui.t, row)
    classes = "" if row.is_fine else "st-bad"
    mark = "⚠ " if say_troubles(ui.t, row) else ""
    caption = f"<span>{escape(row.caption)}</span>" if row.caption else ""
    return (
        f'<figure class="st-card"><a href="{file_url(row.picture)}" target="_blank">'
        f"{picture(row.picture, ui.t('look.picture', number=number), 640)}</a>"
        f'<figcaption class="in"><strong>{number}</strong>{caption}<span class="{classes}">{mark}{escape(said)}</span>'
        f"</figcaption></figure>"
    )
