"""Titles of jobs, made from their requests: each row of KINDS names one of these functions."""

from __future__ import annotations

from studio.domain.album_export import AlbumExportRequest
from studio.domain.bundle import ExportRequest
from studio.domain.captions import CaptionsRequest
from studio.domain.dataset import DatasetRequest, FaceRequest
from studio.domain.design import DesignRequest, PreviewRequest
from studio.domain.donor import DonorRequest
from studio.domain.grid import GridRequest, count_cells
from studio.domain.job_title import JobTitle
from studio.domain.more import MoreRequest
from studio.domain.persona import ConsolidateRequest, SwapRequest
from studio.domain.posts import PostRequest, PostSet
from studio.domain.style import StyleRequest
from studio.domain.takes import FixRequest, StrengthsRequest, VaryRequest

__all__ = [
    "title_album", "title_captions", "title_dataset", "title_design", "title_donor", "title_export", "title_face",
    "title_fix", "title_grid", "title_more", "title_persona", "title_posts", "title_preview", "title_strengths",
    "title_style", "title_swap", "title_vary",
]  # fmt: skip


def title_album(request: AlbumExportRequest) -> JobTitle:
    """Say which album is packed, and how many pictures of it."""
    count = sum(len(one.posts) for one in request.sets)
    platform = request.platforms[0] if len(request.platforms) == 1 else ""
    return JobTitle(who=request.name, count=count, platform=platform, picture=request.sets[0].posts[0].picture)


def title_design(request: DesignRequest) -> JobTitle:
    """Say which look is designed, and of how many candidates."""
    return JobTitle(who=request.category, count=request.candidates)


def title_more(request: MoreRequest) -> JobTitle:
    """Say of which look, how many, and like which picture."""
    design = request.design
    return JobTitle(who=design.recipe.category, count=request.count, picture=design.pictures[request.number])


def title_persona(request: ConsolidateRequest) -> JobTitle:
    """Say who is trained."""
    if request.character is not None:
        return JobTitle(who=request.name, picture=request.character.photos[0].picture)
    design = request.mixed
    return JobTitle(who=request.name, picture=design.pictures[design.kept[0]] if design.kept else design.contact_sheet)


def title_posts(request: PostRequest) -> JobTitle:
    """Say who is drawn where, how often."""
    return JobTitle(
        who=request.persona.name, where=request.scene.name, count=len(request.shots), picture=request.scene.photo
    )


def title_vary(request: VaryRequest) -> JobTitle:
    """Say which post of which set is drawn again."""
    asked, post = request.asked, request.post_set.posts[request.number]
    return JobTitle(
        who=asked.persona.name, where=asked.scene.name, count=request.count, post=request.number + 1,
        post_set=request.post_set.id, picture=post.picture,
    )  # fmt: skip


def title_fix(request: FixRequest) -> JobTitle:
    """Say of which post of which set a region is drawn anew."""
    asked = request.asked
    return JobTitle(
        who=asked.persona.name, where=asked.scene.name, post=request.number + 1, post_set=request.post_set.id,
        picture=request.shown.picture,
    )  # fmt: skip


def title_swap(request: SwapRequest) -> JobTitle:
    """Say whose face comes into how many pictures."""
    return JobTitle(who=request.persona.name, count=len(request.pictures), picture=request.pictures[0].picture)


def title_preview(request: PreviewRequest) -> JobTitle:
    """Say of which look mixes are previewed."""
    return JobTitle(who=request.recipes[0].category, count=len(request.recipes) * len(request.seeds))


def title_strengths(request: StrengthsRequest) -> JobTitle:
    """Say for whom and where strengths are tried."""
    return title_posts(request.asked).model_copy(update={"count": len(request.scales)})


def title_grid(request: GridRequest) -> JobTitle:
    """Say who is compared where, in how many pictures."""
    who = ", ".join(dict.fromkeys(persona.name for persona in request.personas))
    return title_posts(request.asked).model_copy(update={"who": who, "count": count_cells(request)})


def title_export(request: ExportRequest) -> JobTitle:
    """Say which set is packed, or looked at, for which platform."""
    return _of_set(request.post_set, request.platform)


def title_captions(request: CaptionsRequest) -> JobTitle:
    """Say for which set captions are written, and for which platform."""
    return _of_set(request.post_set, request.platform)


def title_dataset(request: DatasetRequest) -> JobTitle:
    """Say whose pictures are looked through, and how many."""
    return JobTitle(
        who=request.name, count=len(request.pictures), picture=request.pictures[0].picture if request.pictures else None
    )


def title_face(request: FaceRequest) -> JobTitle:
    """Say whose face is learnt, and from whose pictures."""
    asked = request.dataset.request
    return JobTitle(who=request.name or asked.name, picture=asked.pictures[0].picture)


def title_style(request: StyleRequest) -> JobTitle:
    """Say what the look is called, and from which pictures it is learnt."""
    asked = request.dataset.request
    return JobTitle(who=request.name or asked.name, picture=asked.pictures[0].picture)


def title_donor(request: DonorRequest) -> JobTitle:
    """Say whose face is added."""
    return JobTitle(who=request.name)


def _of_set(post_set: PostSet, platform: str) -> JobTitle:
    return JobTitle(
        who=post_set.request.persona.name, where=post_set.request.scene.name, count=len(post_set.posts),
        platform=platform, post_set=post_set.id, picture=post_set.posts[0].picture,
    )  # fmt: skip
