"""Forms as their owners left them: written with every change, read when the page opens again, wherever that is."""

from __future__ import annotations

from pipelines.errors import StudioError
from studio.domain.drafts import PostsDraft, keep_valid
from studio.domain.migration import read_stored
from studio.domain.posts import SetSettings
from studio.domain.values import FileKey, find_values
from studio.library.grants import may_read
from studio.library.library import Library
from studio.library.records import DraftRecord, Records

__all__ = ["keep_draft", "kept_draft", "settings_there"]

_POSTS = "posts"


def keep_draft(records: Records, owner: str, draft: PostsDraft) -> None:
    """Write the posts page's form in place of the one before."""
    keys = sorted(draft.file_keys())
    records.keep(DraftRecord(id=_POSTS, owner=owner, facts=draft.model_dump(mode="json"), keys=keys))


def kept_draft(library: Library, owner: str) -> PostsDraft | None:
    """Return the posts page's form; None before anybody filled it in, and where another version wrote it."""
    row = library.records.get(DraftRecord, _POSTS, owner)
    if row is None:
        return None
    try:
        draft = read_stored(PostsDraft, row.facts)
    except StudioError:
        return None
    return draft.model_copy(update={"settings": settings_there(library, owner, draft.settings)})


def settings_there(library: Library, owner: str, settings: SetSettings) -> SetSettings:
    """Return the settings without pictures that are gone, or that their owner may not see."""
    gone = {key for key in settings.file_keys() if not _is_there(library, owner, key)}
    if not gone:
        return settings
    return keep_valid({name: part for name, part in settings if gone.isdisjoint(find_values(part, FileKey))})


def _is_there(library: Library, owner: str, key: str) -> bool:
    return may_read(library.records, owner, key) and library.store.has(key)
