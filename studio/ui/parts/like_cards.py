"""Things of the library that show the face of a photo, or of one of them, the nearest first: those that are the same
person as far as the recogniser can tell, and only where there is none, the few that come nearest.
"""

from __future__ import annotations

from html import escape

from studio.library.faces import FoundFace, count_unread
from studio.library.index import find_thing
from studio.library.uploads import find_upload
from studio.ui.context import Ui
from studio.ui.parts.html import button, empty, grid, panel
from studio.ui.parts.thing_cards import Cards, thing_name
from studio.workflows.likeness import find_like_photo, find_like_thing

__all__ = ["UPLOAD", "show_like"]

UPLOAD = "upload:"
"""Stands before the token of a photo; a thing is named by its id."""
_MOST, _NEAREST = 60, 6


def show_like(ui: Ui, owner: str, face: str) -> str:
    """Return what shows this face as HTML. Raises BadInput where there is none to look for."""
    t, records = ui.t, ui.studio.records
    if face.startswith(UPLOAD):
        found = find_like_photo(ui.studio, owner, find_upload(ui.studio.settings, owner, face[len(UPLOAD) :]), _MOST)
        title = t("faces.of_photo")
    else:
        found = find_like_thing(ui.studio, owner, face, _MOST)
        thing = find_thing(records, owner, face)
        title = t("faces.of_thing", name="" if thing is None else thing_name(t, thing))
    back = button(t("faces.close"), "close-face")
    head = f'<div class="st-row" id="like"><h2>{escape(title)}</h2>{back}</div>'
    unread = count_unread(records, owner, ui.studio.face_pack_sha256)
    later = f"<p class='st-soft'>{escape(t('faces.unread', count=unread))}</p>" if unread else ""
    if not found:
        return head + later + empty(t("faces.none"))
    same = [one for one in found if one.cosine >= ui.least_identity]
    nobody = "" if same else panel(escape(t("faces.nobody")))
    seen = same or found[:_NEAREST]
    cards = Cards.of(ui, owner, [one.thing for one in seen])
    shown = grid(cards.show(one.thing, _likeness(ui, one)) for one in seen)
    return head + nobody + _how(ui) + later + shown + cards.names()


def _how(ui: Ui) -> str:
    """Say what the numbers mean, where it is known of this recogniser."""
    value = f"{ui.least_identity:.2f}"
    return f"<p class='st-soft'>{escape(ui.t('faces.how', value=value))}</p>" if ui.least_identity > -1 else ""


def _likeness(ui: Ui, one: FoundFace) -> str:
    t, least = ui.t, ui.least_identity
    number = escape(t("faces.likeness", value=f"{one.cosine:.2f}"))
    if least <= -1:
        return f"<span>{number}</span>"
    if one.cosine < least:
        return f"<span class='st-soft'>{number} · {escape(t('faces.other'))}</span>"
    return f"<span><strong>{number}</strong> · {escape(t('faces.same'))}</span>"
