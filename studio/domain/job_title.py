"""What a job is called: whom it is for, where, how many pictures, and one of them; said in either language."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from studio.domain.platforms import load_platforms
from studio.domain.values import FileKey, Value
from studio.texts.texts import Texts

__all__ = ["JobTitle", "say_title"]


class JobTitle(Value):
    """`who` is a persona's, a look's or a source face's name, `where` a scene's, as they are stored; `count` how many
    pictures are made, 0 where they are not counted, and `post` which of a set is drawn anew (from 1, 0: all).

    `post_set` is the id of the set that the job belongs to, `picture` what it is known by at a glance.
    """

    who: str = ""
    where: str = ""
    count: int = Field(0, ge=0)
    post: int = Field(0, ge=0)
    platform: str = ""
    post_set: str = ""
    picture: FileKey | None = None


def say_title(t: Texts, words: Mapping[str, str], title: JobTitle | None) -> str:
    """Return such as "Posts: Lin · café · 9 pictures"; the kind's `words` alone for jobs from before they had names."""
    kind = words[t.language]
    if title is None:
        return kind
    parts = [t.word(title.who), t.word(title.where)]
    if title.post:
        parts.append(t("job.post", number=title.post))
    if title.count > 1:
        parts.append(t("job.count", count=title.count))
    if title.platform:
        names = {p.id: p.words[t.language] for p in load_platforms()}
        parts.append(names.get(title.platform, title.platform))
    what = " · ".join(part for part in parts if part)
    return t("job.name", kind=kind, what=what) if what else kind
