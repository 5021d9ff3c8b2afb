"""Post: a scene's picture, a list of shots, one persona: pictures and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from personas.measures.catalogue import POST_MEASURES, measure_subject
from personas.measures.subject import ShownScene, Subject
from personas.shots import Shot
from pipelines.adapters.character import character_of
from pipelines.adapters.ip_adapter import adapter_of
from pipelines.families.companions import drawing_spec
from pipelines.progress import SILENT, Progress, Stage, StageProgress
from pipelines.references.ip_adapter import IpAdapterReference
from pipelines.sampling.request import DrawRequest, identity_request, request_from
from studio.application import Studio
from studio.domain.capabilities import sees_people, vocabulary_of
from studio.domain.finishing import FinishedPicture
from studio.domain.posts import Drawing, DrawnShot, IpAdapterFacts, Post, PostRequest, PostSet, Scores, plain_caption
from studio.domain.report import PostScored, ScoredPost, StudioStage
from studio.domain.scores import is_weaker, weak_scores
from studio.domain.values import FileKey
from studio.domain.wording import tell_shot
from studio.library.records import PostRecord, PostSetRecord, content_id
from studio.workflows import Run
from studio.workflows.character import trigger_of
from studio.workflows.drawing import Arrived, Drawn, WithoutPictures, draw_all, draw_beside, draw_panels, loras_of
from studio.workflows.drawn_with import note_drawing, note_reader
from studio.workflows.finishing import check_finishing, finish_post
from studio.workflows.injections import Injections

__all__ = [
    "DrawnShots",
    "Round",
    "draw_posts",
    "draw_requests",
    "draw_shots",
    "finish_step",
    "plan_requests",
    "score_post",
]


_POSTS = Stage(StudioStage.POSTS)


@dataclass(frozen=True)
class Round:
    """How one drawing of a set is told and finished: the first one, or one of weak posts. Its steps' names begin with
    `steps`; posts are finished whose scores it `finishes`, and told of as soon as they are there if it `tells`.
    """

    stage: Stage = _POSTS
    steps: str = ""
    finishes: Callable[[Scores], bool] = lambda scores: True
    tells: bool = True


_FIRST = Round()


@dataclass(frozen=True)
class DrawnShots:
    """`posts` whose origin is not known yet; `batches` say which were drawn together."""

    posts: tuple[Post, ...]
    batches: tuple[tuple[int, ...], ...]

    @property
    def pictures(self) -> list[str]:
        return [post.picture for post in self.posts]

    def of(self, drawing: str) -> tuple[Post, ...]:
        """Return the posts as those of the drawing of this id."""
        return tuple(post.model_copy(update={"origin": (drawing, i)}) for i, post in enumerate(self.posts))


def draw_posts(studio: Studio, request: PostRequest, run: Run, progress: Progress = SILENT) -> PostSet:
    """Draw and score a set; what came out weak is drawn again, as often as the request says."""
    persona = request.persona
    injections = Injections(studio, request)
    if not sees_people(studio.settings):  # a reader that does not know such pictures cannot say which are weak
        request = request.model_copy(update={"retakes": 0})
    first = Round(finishes=lambda scores: not request.retakes or not _is_weak(studio, scores))
    drawn = draw_shots(studio, request, injections, run, progress, round=first)
    said = {"pictures": drawn.pictures, "persona": persona.id, "scene": request.scene.id}
    told = {name: value for name in ("captions", "retakes") if (value := getattr(request, name))}
    post_set = content_id(said | told)
    posts, drawings = _retake_weak(studio, request, injections, drawn, post_set, run, progress)
    studio.records.keep(
        PostSetRecord(
            id=post_set,
            owner=request.owner,
            persona=persona.id,
            scene=request.scene.id,
            facts={"seed": request.seed, "scale": request.scale},
        ),
        *(
            PostRecord(
                id=f"{post_set}-{i:03d}",
                owner=request.owner,
                post_set=post_set,
                number=i + 1,
                picture=p.picture,
                facts=p.model_dump(mode="json"),
            )
            for i, p in enumerate(posts)
        ),
    )
    return PostSet(
        id=post_set,
        request=request,
        posts=posts,
        batches=drawn.batches,
        companion=injections.companion,
        references=injections.shown,
        ip_adapter=_adapter_facts(studio, injections),
        character_adapter=_character_facts(studio, injections),
        drawn_with=note_drawing(studio, injections.companion, injections.size),
        drawings=drawings if len(drawings) > 1 else (),
    )


def _is_weak(studio: Studio, scores: Scores) -> bool:
    return bool(weak_scores(scores, studio.least_identity))


def _retake_weak(
    studio: Studio,
    request: PostRequest,
    injections: Injections,
    first: DrawnShots,
    post_set: str,
    run: Run,
    progress: Progress,
) -> tuple[tuple[Post, ...], tuple[Drawing, ...]]:
    """Return the better take of each shot, and the drawings that they are from, the set's own first."""
    posts = list(first.of(post_set))
    drawings = [Drawing(id=post_set, posts=tuple(posts), batches=first.batches)]
    given = (posts[0].picture, posts[0].prompt) if request.panels > 1 else None
    for turn in range(1, request.retakes + 1):
        free = [i for i in range(len(posts)) if i >= len(request.seeds) or request.seeds[i] is None]
        # a step: tried again after another face pack was chosen, a job would find others weak than it drew takes of
        weak: list[int] = run(f"weak-{turn}", lambda: [i for i in free if _is_weak(studio, posts[i].scores)])  # noqa: B023
        if not weak:
            break
        stage, asked = Stage(StudioStage.RETAKES, str(turn)), _asked_again(request, weak, turn)
        again = Round(stage, f"retake-{turn}-", lambda scores: not _is_weak(studio, scores), tells=False)
        drawn = draw_shots(studio, asked, injections, run, progress, given, again)
        key = content_id({"pictures": drawn.pictures, "set": post_set, "turn": turn})
        takes = drawn.of(key)
        drawings.append(Drawing(id=key, posts=takes, batches=drawn.batches))
        for i, take in zip(weak, takes, strict=True):
            if is_weaker(posts[i].scores, take.scores, studio.least_identity):
                posts[i] = take
                progress.tell(PostScored(ScoredPost(number=i, picture=take.picture, scores=take.scores)))
    finishes = request.retakes > 0 and check_finishing(studio, request, *injections.size) is not None
    for i, post in enumerate(posts):
        if finishes and post.finished is None:
            finished = finish_step(studio, request, post, post.picture, run, f"finish-{i}", injections)
            posts[i] = post.model_copy(update={"finished": finished})
    used = {post_set, *(post.origin[0] for post in posts)}
    return tuple(posts), tuple(drawing for drawing in drawings if drawing.id in used)


def _asked_again(request: PostRequest, numbers: Sequence[int], turn: int) -> PostRequest:
    """Return some shots of a request with seeds of their own."""
    rng = np.random.default_rng([request.seed, 3, request.again, turn])
    seeds: list[int] = rng.integers(0, 2**32, len(request.shots)).tolist()
    captions = tuple(request.captions[i] if i < len(request.captions) else None for i in numbers)
    some = {"shots": tuple(request.shots[i] for i in numbers), "seeds": tuple(seeds[i] for i in numbers)}
    return request.model_copy(update=some | {"captions": captions if request.captions else ()})


def draw_shots(
    studio: Studio,
    request: PostRequest,
    injections: Injections,
    run: Run,
    progress: Progress,
    given: tuple[str, str] | None = None,
    round: Round = _FIRST,
) -> DrawnShots:
    """Draw and score the request's shots.

    `given`, a picture's key and its prompt, is what panels are drawn around.
    """
    shots = request.shots
    check_finishing(studio, request, *injections.size)
    requests = plan_requests(studio, request, shots, injections)
    arrived: dict[int, Scores] = {}
    finished: dict[int, FinishedPicture | None] = {}

    planned = [
        DrawnShot(
            prompt=r.prompt,
            seed=r.seed,
            shot=shot,
            num_inference_steps=r.num_inference_steps,
            guidance_scale=r.distilled_guidance,
            true_cfg_scale=r.cfg_scale,
            identity_guidance=r.identity_guidance,
            layered=injections.layered,
            reader_sha256=injections.reader_sha256,
        )
        for r, shot in zip(requests, shots, strict=True)
    ]

    def score(number: int, key: str) -> None:
        def step() -> tuple[Scores, dict[str, Any] | None]:
            row = score_post(studio, request, shots[number], key, injections)
            is_done = round.finishes(row)
            return row, _finish(studio, request, planned[number], key, injections) if is_done else None

        row, made = run(f"{round.steps}score-{number}", step)  # one step for both: each step waits for the disk
        arrived[number], finished[number] = row, _as_finished(made)
        if round.tells:
            progress.tell(PostScored(ScoredPost(number=number, picture=FileKey(key), scores=row)))
        progress.tell(StageProgress(Stage(StudioStage.SCORES), len(arrived), len(shots)))

    # of a take that is rejected no page shows anything
    shown = progress if round.tells else WithoutPictures(progress)
    drawn = draw_requests(studio, run, round.stage, request, requests, shown, given, score)
    posts = tuple(
        Post(
            **dict(facts),
            picture=FileKey(key),
            scores=arrived[i],
            finished=finished[i],
            caption=_caption(request, i, facts.shot),
            origin=("", i),
        )
        for i, (key, facts) in enumerate(zip(drawn.pictures, planned, strict=True))
    )
    return DrawnShots(posts, drawn.batches)


def finish_step(
    studio: Studio, request: PostRequest, post: DrawnShot, picture: str, run: Run, name: str, injections: Injections
) -> FinishedPicture | None:
    """Finish a post's picture as a step of its own; None where posts are not finished."""
    return _as_finished(run(name, lambda: _finish(studio, request, post, picture, injections)))


def _finish(
    studio: Studio, request: PostRequest, post: DrawnShot, picture: str, injections: Injections
) -> dict[str, Any] | None:
    made = finish_post(studio, request, post, picture, injections.character)
    return None if made is None else made.model_dump(mode="json")


def _as_finished(made: dict[str, Any] | None) -> FinishedPicture | None:
    return None if made is None else FinishedPicture.model_validate(made, strict=False)


def _caption(request: PostRequest, number: int, shot: Shot) -> str:
    own = request.captions[number] if number < len(request.captions) else None
    return " ".join((own or "").split()) or plain_caption(request.persona.name, shot)


def draw_requests(
    studio: Studio,
    run: Run,
    stage: Stage,
    request: PostRequest,
    requests: Sequence[DrawRequest],
    progress: Progress,
    given: tuple[str, str] | None = None,
    arrived: Arrived = lambda number, key: None,
) -> Drawn:
    """Alone, as panels, or as panels around `given`."""
    if request.panels == 1:
        return draw_all(studio, run, stage, requests, progress, arrived)
    if given is not None:
        return draw_beside(studio, run, stage, requests, given, progress, arrived)
    return draw_panels(studio, run, stage, requests, request.panels, progress, arrived)


def plan_requests(
    studio: Studio, request: PostRequest, shots: Sequence[Shot], injections: Injections
) -> list[DrawRequest]:
    """One for each shot, with its own seed or one from the request's."""
    persona, spec = request.persona, drawing_spec(studio.backbone.spec, injections.companion)
    of_set = [request.seed, 2, request.again] if request.again else [request.seed, 2]
    seeds: list[int] = np.random.default_rng(of_set).integers(0, 2**32, len(shots)).tolist()
    loras, vocabulary = loras_of(studio, request), vocabulary_of(studio.settings)
    is_known = request.by_lora or request.photos is not None
    draws, trigger = identity_request if is_known else request_from, trigger_of(studio, request)
    for i, own in enumerate(request.seeds[: len(shots)]):
        seeds[i] = seeds[i] if own is None else own
    behind = () if request.guided is None else request.guided.words
    return [
        draws(
            spec,
            # the place comes from the reference; without one the words must say it
            injections.words(
                ", ".join(
                    (
                        tell_shot(shot, vocabulary).prompt(
                            persona.subject, trigger, with_setting=not injections.referred
                        ),
                        *behind,
                    )
                )
            ),
            seed,
            loras=loras,
            references=injections.beside(injections.landmark(shot), shot),
            height=injections.size[0],
            width=injections.size[1],
            detail=request.detail,
            renoise=request.renoise,
        )
        for shot, seed in zip(shots, seeds, strict=True)
    ]


def score_post(
    studio: Studio, request: PostRequest, shot: Shot, picture: str, injections: Injections
) -> dict[str, float | None]:
    """Return the scores of a post, by the names of POST_MEASURES; goods only where there are some."""
    enrolment = np.asarray(request.persona.enrolment, np.float64)
    image = studio.store.get_picture(picture)
    face, (regions,) = studio.face_in(picture, image), studio.regions.read([image])
    subject = Subject(
        picture=image,
        faces=() if face is None else (face,),
        regions=regions,
        attributes=regions.told,
        shot=shot,
        enrolment=enrolment,
        scene=ShownScene(injections.canvas, injections.person),
        goods=injections.goods_in(shot),
        kept=injections.kept_in(shot),
    )
    return measure_subject(subject, POST_MEASURES)


def _adapter_facts(studio: Studio, injections: Injections) -> IpAdapterFacts | None:
    """None where it is off."""
    if not any(isinstance(r, IpAdapterReference) for r in injections.references):
        return None
    file = adapter_of(studio.backbone).file
    return IpAdapterFacts(sha256=file.sha256, licence=file.licence)


def _character_facts(studio: Studio, injections: Injections) -> IpAdapterFacts | None:
    """None where no photos say who is shown."""
    if injections.character is None:
        return None
    file = character_of(studio.backbone).file
    reader = note_reader(studio) if any(photo.parts for photo in injections.character.photos) else ""
    return IpAdapterFacts(sha256=file.sha256, licence=file.licence, reader_sha256=reader)
