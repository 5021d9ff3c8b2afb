"""The library's page shows what has the face of a photo, or of a thing, and of nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.posts import post_thing
from studio.jobs.queue import Queue
from studio.library.uploads import keep_upload
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Ui
from studio.ui.pages.library import _turn
from studio.ui.parts.like_cards import show_like
from studio.ui.parts.thing_grid import Opened, Wanted, show_things
from studio.workflows.likeness import read_faces
from tests.studio.workflows.test_likeness import WALK, WHO, another_photo, keep_people


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data"))


def upload(studio: Studio, photo: Path, owner: str = "me") -> str:
    async def blocks() -> AsyncIterator[bytes]:
        yield photo.read_bytes()

    return asyncio.run(keep_upload(studio.settings, owner, photo.name, blocks()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_whoever_has_the_face_and_leads_back(studio: Studio, tmp_path: Path, language: Language) -> None:
    post_set = keep_people(studio)
    read_faces(studio, "me", post_set)
    ui = Ui(studio, Queue(studio), Texts(language))
    token = upload(studio, another_photo(WHO[1], tmp_path))
    opened = _turn(Opened(), {"do": "find-upload", "upload": token})
    html, now = show_things(ui, "me", Wanted("posts"), opened)
    assert html.count("st-card") == 1
    assert post_thing(post_set.id, 1) in html
    assert ui.t("faces.same") in html
    assert ui.t("faces.other") not in html
    back = _turn(now, {"do": "close-face"})
    assert "st-card" in show_things(ui, "me", Wanted("posts"), back)[0]
    alone, _ = show_things(
        ui, "me", Wanted("post"), _turn(now, {"do": "find-face", "thing": post_thing(post_set.id, 1)})
    )
    assert ui.t("faces.nobody") in alone  # nothing else shows this face
    assert alone.count("st-card") == 2
    assert ui.t("faces.same") not in alone
    with pytest.raises(BadInput, match="no_upload"):
        show_like(ui, "mei", opened.face)
    assert ui.t("faces.none") in show_like(ui, "mei", f"upload:{upload(studio, WALK / '00.jpg', 'mei')}")


def test_cards_of_who_has_a_face_find_it(studio: Studio) -> None:
    keep_people(studio)
    ui = Ui(studio, Queue(studio), Texts("en"))
    assert 'data-do="find-face"' in show_things(ui, "me", Wanted("post"), Opened())[0]
    assert 'data-do="find-face"' not in show_things(ui, "me", Wanted("posts"), Opened())[0]
    assert 'data-do="find-face"' not in show_things(ui, "me", Wanted("scene"), Opened())[0]
