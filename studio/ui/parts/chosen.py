"""What a set of posts is made of, as tiles: the person, the place, the goods, the posts themselves, and the rest."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from pipelines.references.catalogue import find_kind
from studio.domain.drafts import PostsDraft
from studio.domain.persona import Persona
from studio.domain.platforms import find_platform
from studio.domain.posts import SetSettings
from studio.domain.scene import Scene
from studio.ui.context import Said, Ui
from studio.ui.parts.goods_form import UNNAMED
from studio.ui.parts.html import thumb_url
from studio.ui.parts.sections import Section, build_section, show_tile

__all__ = ["Sections", "build_sections", "show_chosen"]

_THUMB_PX = 128
_KEEPING = ("person", "place", "shots")  # who, where and for which platform is followed by other parts
_ADVANCED = ("style", "detail", "renoise", "keep", "seed", "dials", "blocks")


@dataclass(frozen=True)
class Sections:
    """The sections of the form, in their order on the page."""

    person: Section
    place: Section
    goods: Section
    shots: Section
    advanced: Section

    @property
    def tiles(self) -> list[gr.HTML]:
        return [section.tile for section in (self.person, self.place, self.goods, self.shots, self.advanced)]


def build_sections(ui: Ui) -> Sections:
    """Lay the sections out where the caller is, folded and empty."""
    with gr.Column(elem_id="chosen"):
        names = ("person", "place", "goods", "shots", "advanced")
        return Sections(*(build_section(ui, name, keeps=name in _KEEPING) for name in names))


def show_chosen(ui: Ui, sections: Sections, draft: PostsDraft, who: Persona | None, where: Scene | None) -> Said:
    """Return what the tiles say of a draft, its person and its place."""
    settings = draft.settings
    return {
        sections.person.tile: _person(ui, settings, who),
        sections.place.tile: _place(ui, settings, where),
        sections.goods.tile: _goods(ui, settings),
        sections.shots.tile: _shots(ui, draft),
        sections.advanced.tile: _advanced(ui, settings),
    }


def _person(ui: Ui, settings: SetSettings, who: Persona | None) -> str:
    if who is None:
        return show_tile(ui, "person", ui.t("chosen.nobody"))
    said = [who.name, f"{ui.t('version')} {who.version}"]
    if settings.person_as != "lora":
        said.append(ui.t(f"person.{settings.person_as}"))
    sheets = [made.contact_sheet for made in who.rounds if made.contact_sheet is not None]
    own = settings.person_picture if settings.person_as != "lora" else None
    keys = [key for key in (own, *who.pictures[:1], *sheets[-1:]) if key is not None]
    return show_tile(ui, "person", " · ".join(said), [thumb_url(key, _THUMB_PX) for key in keys[:1]])


def _place(ui: Ui, settings: SetSettings, where: Scene | None) -> str:
    t = ui.t
    if where is None:
        return show_tile(ui, "place", t("chosen.nowhere"))
    said = [t.word(where.name)]
    if settings.scale > 0 and (words := find_kind(settings.inject).words.get(t.language)) is not None:
        said.append(words.name)
    if settings.keep_landmark and where.landmark is not None:
        said.append(t("scenes.with_landmark"))
    return show_tile(ui, "place", " · ".join(said), [thumb_url(where.photo, _THUMB_PX)])


def _goods(ui: Ui, settings: SetSettings) -> str:
    goods = settings.goods
    if goods is None:
        return show_tile(ui, "goods", ui.t("chosen.no_goods"))
    name = ui.t("chosen.unnamed") if goods.name == UNNAMED else goods.name
    said = f"{name} · {ui.t(f'goods.{settings.goods_as}')}"
    return show_tile(ui, "goods", said, [thumb_url(goods.picture, _THUMB_PX)])


def _shots(ui: Ui, draft: PostsDraft) -> str:
    t, target = ui.t, find_platform(draft.platform)
    rows = sum(any(row) for row in draft.shots.rows) or draft.shots.count
    shape = target.shape or ""
    said = [t("job.count", count=rows), shape, t(f"template.{draft.shots.template}"), target.words[t.language]]
    return show_tile(ui, "shots", " · ".join(part for part in said if part), shape=shape)


def _advanced(ui: Ui, settings: SetSettings) -> str:
    usual = SetSettings()
    count = sum(getattr(settings, name) != getattr(usual, name) for name in _ADVANCED)
    return show_tile(ui, "advanced", ui.t("chosen.changed", count=count) if count else ui.t("chosen.usual"))
