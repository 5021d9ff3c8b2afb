"""An album: posts and sets that somebody put together under a name; each may be in several."""

from __future__ import annotations

from typing import ClassVar

from studio.domain.values import IndexEntry, Result

__all__ = ["Album"]


class Album(Result):
    """What is in it is kept beside it (`studio.library.albums`): with an album no picture goes."""

    kind: ClassVar[str] = "album"

    name: str

    def index_entry(self) -> IndexEntry:
        return IndexEntry({"name": self.name}, (self.name,))
