"""What an album exports: its sets as their owner arranged them, in its order, and of single posts' sets these alone."""

from __future__ import annotations

from pipelines.errors import BadInput, StudioError
from studio.application import Studio
from studio.domain.album_export import MOST_SETS, AlbumExportRequest
from studio.domain.arrangement import Arrangement, compose
from studio.domain.migration import read_marks
from studio.domain.posts import PostSet
from studio.domain.takes import FixTake, VaryTake
from studio.library.albums import album_group, find_album
from studio.library.index import Search, every_thing
from studio.library.marks import marks_of
from studio.library.records import JobRecord
from studio.library.results import find_result, read_result

__all__ = ["album_request", "arranged_set"]


def album_request(
    studio: Studio,
    owner: str,
    album: str,
    platforms: tuple[str, ...],
    *,
    content: str = "bundle",
    together: bool = False,
    unlabelled: bool = False,
    allow_flagged: bool = False,
) -> AlbumExportRequest:
    """Return the request of an album's archives. Raises BadInput for one that is unknown, empty, or too large."""
    found = find_album(studio.records, owner, album)
    wanted: dict[str, set[int] | None] = {}  # by set, in the album's order: its posts, None for all
    for thing in every_thing(studio.records, Search(owner, groups=(album_group(album),))):
        if thing.kind == PostSet.kind:
            wanted[thing.id.partition(":")[2]] = None
        elif (posts := wanted.setdefault(str(thing.facts["set"]), set())) is not None:
            posts.add(int(thing.facts["number"]))
    if not wanted:
        raise BadInput("album_empty", name=found.name)
    if len(wanted) > MOST_SETS:
        raise BadInput("album_too_large", name=found.name, count=len(wanted), most=MOST_SETS)
    found_sets = (
        (find_result(studio.records, studio.store, owner, PostSet, key), posts) for key, posts in wanted.items()
    )
    sets = tuple(arranged_set(studio, owner, post_set, posts) for post_set, posts in found_sets)
    return AlbumExportRequest.make(
        owner=owner, name=found.name, sets=sets, platforms=platforms, content=content, together=together,
        unlabelled=unlabelled, allow_flagged=allow_flagged,
    )  # fmt: skip


def arranged_set(studio: Studio, owner: str, post_set: PostSet, posts: set[int] | None = None) -> PostSet:
    """Return the set as its owner arranged it, with those of its `posts` alone (numbers as drawn; None: all shown)."""
    said = read_marks(marks_of(studio.records, owner, f"{PostSet.kind}:{post_set.id}"))
    if posts is not None:  # who put a post into an album wants it, whatever its set leaves out
        said = said.model_copy(update={"left_out": tuple(i for i in range(len(post_set.posts)) if i not in posts)})
    return compose(post_set, said, _takes(studio, owner, said, len(post_set.posts)), studio.least_identity)


def _takes(studio: Studio, owner: str, said: Arrangement, count: int) -> dict[str, VaryTake | FixTake | None]:
    found: dict[str, VaryTake | FixTake | None] = {}
    for job in {job for number in range(count) for job in said.jobs_of(number)}:
        row = studio.records.get(JobRecord, job, owner)
        if row is not None and row.state == "done":
            found[job] = _read(studio, row)
    return found


def _read(studio: Studio, row: JobRecord) -> VaryTake | FixTake | None:
    kinds: dict[str, type[VaryTake] | type[FixTake]] = {VaryTake.kind: VaryTake, FixTake.kind: FixTake}
    try:
        return read_result(studio.store, kinds[row.kind], row)
    except StudioError:
        return None
