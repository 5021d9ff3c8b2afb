"""The kinds of jobs: one row each. Engine, queue, API, command line and pages go through this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from importlib import import_module
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pipelines.errors import BadInput
from pipelines.models.licences import Use
from studio.domain.album_export import AlbumExport, AlbumExportRequest
from studio.domain.bundle import Bundle, CheckRequest, ExportCheck, ExportRequest
from studio.domain.captions import Captions, CaptionsRequest
from studio.domain.dataset import DataSet, DatasetRequest, FaceRequest, FaceTrained
from studio.domain.design import Design, DesignRequest, Preview, PreviewRequest
from studio.domain.donor import DonorAdded, DonorRequest
from studio.domain.grid import Grid, GridRequest, count_cells
from studio.domain.job_title import JobTitle
from studio.domain.migration import Json, migrate, read_stored
from studio.domain.more import MoreCandidates, MoreRequest
from studio.domain.persona import ConsolidateRequest, Persona, Swap, SwapRequest
from studio.domain.posts import PostRequest, PostSet, SetSettings
from studio.domain.style import Style, StyleRequest
from studio.domain.takes import FixRequest, FixTake, Strengths, StrengthsRequest, VaryRequest, VaryTake
from studio.domain.times import JobSize
from studio.domain.values import SCHEMA_VERSION, Request, Result
from studio.jobs import titles

if TYPE_CHECKING:
    from pipelines.progress import Progress
    from studio.application import Studio
    from studio.workflows import Run

__all__ = [
    "KINDS", "Find", "Kind", "find_kind", "kind_of", "optional_result", "parse_request", "read_request",
    "result_of_list", "size_of_set",
]  # fmt: skip

Find = Callable[[type[Result], str], Result]
"""Returns the asker's own result of this type and id. Raises BadInput where there is none."""


@dataclass(frozen=True)
class Kind:
    """`run` is "module:function" of the workflow, imported when the first such job runs. `page` is where a person asks
    for it ("": only programs do), `words` what it is called, by language, and `title` what one such job is called, from
    its request. `seen` is the page, with its question, that shows what was made: `{id}` is the result's and `{set}` the
    set's that it belongs to; `watched` the page that shows how far it is ("": both are `page`). `indexed` says whether
    its result is found in the library. `uses` are what it does with models, of which their licences are asked. `size`
    is what its time grows with, and `timed_as` a kind whose units take as long, asked while no job of its own was
    timed. `draws`: the units of its size are pictures that it draws; each row says so itself.
    """

    name: str
    request: type[Request]
    result: type[Result]
    run: str
    page: str
    words: Mapping[str, str]
    title: Callable[[Any], JobTitle]
    seen: str = ""
    watched: str = ""
    indexed: bool = False
    uses: tuple[Use, ...] = ("running",)
    size: Callable[[Any], JobSize] = lambda request: JobSize()
    timed_as: str = ""
    _: KW_ONLY
    draws: bool

    def load(self) -> Callable[[Studio, Any, Run, Progress], Result]:
        """Return the workflow."""
        module, _, name = self.run.partition(":")
        found: Callable[[Studio, Any, Run, Progress], Result] = getattr(import_module(module), name)
        return found


def size_of_set(settings: SetSettings, count: int) -> JobSize:
    """Return the size of a drawing of `count` posts with these settings."""
    way = settings.inject if settings.shows else ""
    goods = "" if settings.goods is None else settings.goods_as
    photos = " character" if isinstance(settings, PostRequest) and settings.photos is not None else ""
    return JobSize(units=count, like=f"{way} {settings.person_as} {settings.panels} {goods} {settings.keep}{photos}")


_ROWS = (
    Kind(
        "design", DesignRequest, Design, "studio.workflows.design:design_persona", "design",
        {"en": "Design", "zh": "设计"}, titles.title_design, "select", indexed=True,
        size=lambda request: JobSize(units=request.candidates + len(request.templates)),
        draws=True,
    ),
    Kind(
        "consolidate", ConsolidateRequest, Persona, "studio.workflows.consolidate:consolidate_persona", "select",
        {"en": "Training", "zh": "训练"}, titles.title_persona, "library?persona={id}",
        watched="consolidate", indexed=True, uses=("running", "fine_tuning"),
        size=lambda request: JobSize(like=f"{request.steps} {request.rounds} {request.pool} {request.keep}"),
        draws=False,
    ),
    Kind(
        "posts", PostRequest, PostSet, "studio.workflows.post:draw_posts", "posts",
        {"en": "Posts", "zh": "帖子"}, titles.title_posts, "posts?set={id}", indexed=True,
        size=lambda request: size_of_set(request, len(request.shots)),
        draws=True,
    ),
    Kind(
        "vary", VaryRequest, VaryTake, "studio.workflows.takes:vary_post", "posts",
        {"en": "New take", "zh": "重画"}, titles.title_vary, "posts?set={set}",
        size=lambda request: size_of_set(request.asked, request.count), timed_as="posts",
        draws=True,
    ),
    Kind(
        "fix", FixRequest, FixTake, "studio.workflows.takes:fix_post", "posts",
        {"en": "Region", "zh": "局部修补"}, titles.title_fix, "posts?set={set}",
        draws=True,
    ),
    Kind(
        "swap", SwapRequest, Swap, "studio.workflows.swap:swap_faces", "consolidate",
        {"en": "Face swap", "zh": "换脸"}, titles.title_swap,
        size=lambda request: JobSize(units=len(request.pictures)),
        draws=True,
    ),
    Kind(
        "preview", PreviewRequest, Preview, "studio.workflows.preview:preview_recipes", "design",
        {"en": "Previews", "zh": "预览"}, titles.title_preview,
        size=lambda request: JobSize(units=len(request.recipes) * len(request.seeds)),
        draws=True,
    ),
    Kind(
        "more", MoreRequest, MoreCandidates, "studio.workflows.more:draw_more", "select",
        {"en": "More candidates", "zh": "更多候选"}, titles.title_more,
        size=lambda request: JobSize(units=request.count),
        draws=True,
    ),
    Kind(
        "strengths", StrengthsRequest, Strengths, "studio.workflows.preview:preview_strengths", "posts",
        {"en": "Strengths", "zh": "强度试画"}, titles.title_strengths,
        size=lambda request: size_of_set(request.asked, len(request.scales)), timed_as="posts",
        draws=True,
    ),
    Kind(
        "grid", GridRequest, Grid, "studio.workflows.grid:draw_grid", "lab",
        {"en": "Comparison", "zh": "对比试画"}, titles.title_grid, "lab?grid={id}",
        size=lambda request: size_of_set(request.asked, count_cells(request)), timed_as="posts",
        draws=True,
    ),
    Kind(
        "captions", CaptionsRequest, Captions, "studio.workflows.captions:write_captions", "posts",
        {"en": "Captions", "zh": "文案"}, titles.title_captions, "posts?set={set}", uses=(), draws=False,
    ),
    Kind(
        "check", CheckRequest, ExportCheck, "studio.workflows.bundling:check_export", "posts",
        {"en": "A look before the export", "zh": "导出前查看"}, titles.title_export, "posts?set={set}", uses=(),
        draws=False,
    ),
    Kind(
        "export", ExportRequest, Bundle, "studio.workflows.bundling:export_posts", "posts",
        {"en": "Export", "zh": "导出"}, titles.title_export, "posts?set={set}", uses=("outputs",),
        draws=False,
    ),
    Kind(
        "archive", AlbumExportRequest, AlbumExport, "studio.workflows.album_export:export_album", "library",
        {"en": "Album", "zh": "相册导出"}, titles.title_album, "library?kind=jobs", uses=("outputs",),
        draws=False,
        size=lambda request: JobSize(units=len(request.sets) * len(request.platforms)),
    ),
    Kind(
        "donor", DonorRequest, DonorAdded, "studio.workflows.donors:add_uploaded_donor", "library",
        {"en": "New source face", "zh": "新素材脸"}, titles.title_donor, "library?kind=donor", draws=False,
    ),
    Kind(
        "dataset", DatasetRequest, DataSet, "studio.workflows.datasets:curate_dataset", "dataset",
        {"en": "Data set", "zh": "数据集"}, titles.title_dataset, "dataset?set={id}",
        draws=False,
        size=lambda request: JobSize(units=max(1, len(request.pictures)), like=request.writer),
    ),
    Kind(
        "face", FaceRequest, FaceTrained, "studio.workflows.donors:train_face", "dataset",
        {"en": "Training of a source face", "zh": "训练素材脸"}, titles.title_face, "library?kind=donor",
        uses=("running", "fine_tuning"), size=lambda request: JobSize(like=f"{request.steps}"), draws=False,
    ),
    Kind(
        "style", StyleRequest, Style, "studio.workflows.styles:learn_style", "dataset",
        {"en": "Learning of a look", "zh": "学习画面风格"}, titles.title_style, "library?kind=style", indexed=True,
        uses=("running", "fine_tuning"), size=lambda request: JobSize(like=f"{request.steps}"), draws=False,
    ),
)  # fmt: skip

KINDS: dict[str, Kind] = {row.name: row for row in _ROWS}


def find_kind(name: str) -> Kind:
    """Return the row of this name. Raises BadInput."""
    if name not in KINDS:
        raise BadInput("job_kind_unknown", kind=name[:40], kinds=list(KINDS))
    return KINDS[name]


def kind_of(request: Request) -> Kind:
    """Return the row that such a request is of."""
    return next(row for row in KINDS.values() if row.request is type(request))


def parse_request(kind: str, value: Mapping[str, Any], find: Find) -> Request:
    """Return the request that somebody asks for in JSON.

    In place of a whole result its id may stand, which `find` looks up. Raises BadInput.
    """
    row = find_kind(kind)
    told = {"schema_version": SCHEMA_VERSION} | dict(value)
    return read_stored(row.request, _with_results(row.request, migrate(row.request, told), find))


def read_request(kind: str, value: Mapping[str, Any], find: Find) -> Request:
    """Return a request that was stored, by version 0.1, too. Raises StudioError."""
    row = find_kind(kind)
    today = migrate(row.request, value) | {"schema_version": SCHEMA_VERSION}
    return read_stored(row.request, _with_results(row.request, today, find))


def result_of_list(annotation: Any) -> type[Result] | None:
    """Return the type of results that a field holds any number of; None for all other fields."""
    inner = get_args(annotation)[:1] if get_origin(annotation) is tuple else ()
    found = inner[0] if inner else None
    return found if isinstance(found, type) and issubclass(found, Result) else None


def optional_result(annotation: Any) -> type[Result] | None:
    """Return the type of the result that a field holds or not; None for all other fields."""
    inner = [part for part in get_args(annotation) if part is not NoneType] if NoneType in get_args(annotation) else []
    found = inner[0] if len(inner) == 1 else None
    return found if isinstance(found, type) and issubclass(found, Result) else None


def _with_results(kind: type[Request], value: Mapping[str, Any], find: Find) -> Json:
    told = dict(value)
    for name, field in kind.model_fields.items():
        given, wanted = told.get(name), optional_result(field.annotation) or field.annotation
        if (one := result_of_list(wanted)) is not None and isinstance(given, list | tuple):
            told[name] = [find(one, key).model_dump(mode="json") if isinstance(key, str) else key for key in given]
        if not isinstance(wanted, type):
            continue
        if issubclass(wanted, Result) and isinstance(given, str):
            told[name] = find(wanted, given).model_dump(mode="json")
        elif issubclass(wanted, Request) and isinstance(given, Mapping):
            told[name] = _with_results(wanted, given, find)
    return told
