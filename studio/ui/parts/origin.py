"""Where a set of posts or a persona comes from: people, photos, goods, models and consents, in a fold and as a file."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from studio.domain.persona import Persona
from studio.domain.posts import PostSet
from studio.domain.rights_words import say_lineage
from studio.ui.context import Ui
from studio.ui.parts.html import link
from studio.workflows.rights import lineage_of_persona, lineage_of_set

__all__ = ["show_origin"]


def show_origin(ui: Ui, owner: str, made: Persona | PostSet) -> str:
    """Return the fold as HTML; it is open where a consent no longer holds."""
    if isinstance(made, PostSet):
        found, kind = lineage_of_set(ui.studio, owner, made), "sets"
    else:
        found, kind = lineage_of_persona(ui.studio, owner, made), "personas"
    rows = "".join(f"<li>{escape(line)}</li>" for line in say_lineage(ui.t, found, ids=False))
    save = link(ui.t("origin.get"), f"/api/{kind}/{quote(made.id)}/lineage?download=true", big=False, download=True)
    opened = "" if found.is_free else " open"
    return (
        f'<details class="st-panel st-origin"{opened}><summary>{escape(ui.t("origin.title"))}</summary>'
        f"<ul>{rows}</ul><div class='st-row'>{save}</div></details>"
    )
