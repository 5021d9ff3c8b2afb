"""The bundled donors: invented adults of the world, each taught to the miniature. `python -m miniature.donors`.

The people's faces are far apart for the recogniser. All LoRAs come from one recipe and share one
neutral trigger word, so that their weighted mixes stay in one linear space (arXiv:2406.09413).
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from miniature.captions import NEUTRAL_TRIGGER
from miniature.world import World, look_identities, render, sample_scenes
from personas.consolidation import default_config
from personas.donors import RECORD_NAME, Consent, Donor, load_donors, save_donor
from personas.identity_loss import IdentityLoss
from personas.looks import find_category
from personas.measures.face import FaceReader, mean_embedding
from personas.measures.regions import HEAD, RegionReader
from personas.measures.whole_eyes import EYES
from personas.shots import Shot, vary_shots
from pipelines.backbones import MINIATURE, Backbone, load_backbone, resolve_backbone
from pipelines.lora import Lora, LoraLayer, LoraMetadata, read_lora, write_lora
from pipelines.sampling.draw import draw
from pipelines.sampling.request import identity_request
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, train_lora

NAMES = {
    "sweet": ("mei", "lina", "coco", "yuki", "anya", "momo", "xiaotian", "luna", "hana", "lily"),
    "mature": ("vera", "jing", "sofia", "elena", "ruolan", "irene", "qing", "diana", "yun", "clara"),
    "ceo": ("lei", "victor", "haoran", "marcus", "shen", "adrian", "zhen", "bruno", "jianguo", "dominic"),
    "boyish": ("nino", "xiaobai", "leo", "jun", "toby", "finn", "kai", "ryo", "mingming", "theo"),
}
# Renders cost nothing. A LoRA that has learnt 24 of them by heart draws its person as well as one that has seen 200,
# but a mix carries over what four have learnt by heart: one was .63 as alike as renders with 24, .70 with 96, .73 with 200.
PICTURES = 200
# Forty of them fit into the bundle at rank 4 without the feed-forward layers' inputs, whose part in a face is small.
# So few numbers learn best at a high rate: one donor had .65 of a render's cosine at 2e-3 in 250 steps, .74 at 6e-3 in
# 200 (of 24 pictures).
CONFIG = LoraTrainingConfig.model_validate({
    "rank": 4, "target_modules": ("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "proj_out"),
    "learning_rate": 6e-3, "steps": 350, "batch_size": 8, "checkpoint_every": 100, "caption_dropout": 0.05,
    "focus": 1.5, "picture_weight": 1.0,
})  # fmt: skip
# In the end the face is judged in noisier guesses, too, and twice as hard: a mix's face went with the seed and the framing,
# which are what decides while there is much noise. It was tried as a finish only.
FINISH = CONFIG.model_copy(update={
    "learning_rate": 2e-3, "steps": 100, "picture_sigma": 0.85, "picture_weight": 2.0,
})  # fmt: skip
_LICENCE = "Apache-2.0"
_CARD_TAKES, _CARD_SUREST = 16, 4


def chosen_people(look: str, count: int, faces: FaceReader, seed: int = 77, pool: int = 120) -> torch.Tensor:
    """`count` identities [count, 26] of a look whose faces are far apart for the recogniser.

    Farthest-point sampling on cosines of one neutral portrait each, from every start; the set with the lowest highest
    cosine wins. (In trait space hair and build count as much as the face: the nearest two of five were at .42.)
    """
    people = look_identities(look, pool, torch.Generator().manual_seed(seed))
    embeddings = _portrait_embeddings(people, faces)
    cosines = embeddings @ embeddings.T - 2 * np.eye(pool)  # nobody is far from themselves
    best: list[int] = []
    for start in range(pool):
        picked = [start]
        while len(picked) < count:
            nearest = cosines[:, picked].max(axis=1)
            nearest[picked] = np.inf
            picked.append(int(nearest.argmin()))
        if not best or _highest(cosines, picked) < _highest(cosines, best):
            best = picked
    return people[best]


def _highest(cosines: NDArray[np.floating], rows: list[int]) -> float:
    return float(cosines[np.ix_(rows, rows)].max())


def _portrait_embeddings(people: torch.Tensor, faces: FaceReader) -> NDArray[np.float32]:
    shot = Shot("close-up")
    found = []
    for i in range(0, len(people), 4):
        some = people[i : i + 4]
        scenes = sample_scenes([shot.setting] * len(some), [5] * len(some))
        for image in render(World(some, (shot,) * len(some), scenes, 3)).images.numpy():
            face = faces.read(image)
            if face is None:
                raise RuntimeError("The detector misses a face in a plain portrait: train it again.")
            found.append(face.embedding)
    return np.stack(found)


def portraits(identity: torch.Tensor, look: str, count: int, seed: int) -> list[TrainingExample]:
    """Renders of one person in varied shots and places, with captions that leave the person to the trigger."""
    shots = vary_shots(count, seed)
    scenes = sample_scenes([s.setting for s in shots], [10_000_000 + seed * 1000 + i for i in range(count)])
    subject = find_category(look).subject
    examples = []
    for i in range(0, count, 4):
        rows = range(i, min(i + 4, count))
        world = World(identity[None].expand(len(rows), -1), tuple(shots[j] for j in rows), scenes.take(rows), seed + i)
        drawn = render(world)
        images, heads = drawn.images.numpy(), np.isin(drawn.labels.numpy(), HEAD)
        examples += [
            TrainingExample(images[k], shots[j].prompt(subject, NEUTRAL_TRIGGER), heads[k]) for k, j in enumerate(rows)
        ]
    return examples


def make_donor(
    backbone: Backbone, look: str, index: int, identity: torch.Tensor, work: Path, assets: Path, faces: FaceReader
) -> Donor:
    """Train, on a distilled backbone's sibling, draw the thumbnail with the trained LoRA, write the files."""
    name = NAMES[look][index]
    seed = _seed(look, index)
    # the recipe of the bundled donors is the miniature's own; any other model gets the studio's
    parts = (CONFIG, FINISH) if backbone.spec.id == MINIATURE else (default_config(backbone, seed),)
    examples = portraits(identity, look, PICTURES, seed)
    judge = None
    if parts[0].picture_weight:
        images = [e.image for e in examples]
        found = [f.embedding for f in faces.read_many(images) if f is not None]
        judge = IdentityLoss(faces, images, mean_embedding(np.stack(found)), backbone.device)
    layers: tuple[LoraLayer, ...] = ()
    trainer = backbone.trained_on()
    for k, part in enumerate(parts):
        config = part.model_copy(update={"seed": seed + 10_000 * k})
        folder = work / look / name / ("finish" if k else "")
        layers = train_lora(trainer, examples, config, folder, judge=judge, start=layers).layers
    layers = tuple(LoraLayer(x.module, x.down.half(), x.up.half(), x.alpha) for x in layers)
    picture = draw_portrait(backbone, look, layers, seed, faces, RegionReader(assets / "reader"))
    with tempfile.TemporaryDirectory() as scratch:
        lora, thumbnail = Path(scratch) / "lora.safetensors", Path(scratch) / "thumbnail.png"
        _save_thumbnail(picture, thumbnail)
        jpeg = io.BytesIO()
        Image.fromarray(picture).resize((96, 128)).save(jpeg, "JPEG", quality=80)
        facts = {  # other tools read one number each: of two parts, the long one's
            "learning_rate": str(parts[0].learning_rate),
            "steps": str(sum(part.steps for part in parts)),
            "identity_loss": str(parts[0].picture_weight),
            "num_train_images": str(PICTURES),
        }
        metadata = LoraMetadata(
            title=name, trigger_phrase=NEUTRAL_TRIGGER, license=_LICENCE, author="Persona Studio",
            description=f"An invented adult of the miniature's world, look {look}.", date="2026-11-22",
            base_model=f"persona-studio-{trainer.spec.id}", height=backbone.spec.height, width=backbone.spec.width,
            thumbnail_jpeg=jpeg.getvalue(), training=facts, family=backbone.spec.family,
        )  # fmt: skip
        sha256 = write_lora(lora, layers, metadata)
        consent = Consent(
            who="Persona Studio (the person is invented; no one real is shown)",
            scope="fusion, training, commercial posts",
            file_sha256=sha256,
            expires=None,
        )
        return save_donor(
            assets / "donors",
            Donor(sha256[:16], name, look, lora, NEUTRAL_TRIGGER, _LICENCE, consent, thumbnail, backbone.spec.family),
        )


def draw_portrait(
    backbone: Backbone, look: str, layers: Sequence[LoraLayer], seed: int, faces: FaceReader, regions: RegionReader
) -> NDArray[np.uint8]:
    """The picture on a donor's card: of sixteen, among those whose eyes are whole (the four surest where hardly any are),
    the one whose face is most like all of them; any where none is read."""
    shot = Shot(framing="close-up", expression="smiling", setting="studio", outfit_colour="white")
    prompt = shot.prompt(find_category(look).subject, NEUTRAL_TRIGGER)
    loras = (Lora(tuple(replace(x, down=x.down.float(), up=x.up.float()) for x in layers)),)
    requests = [identity_request(backbone.spec, prompt, seed + 10_000 * k, loras=loras) for k in range(_CARD_TAKES)]
    pictures = [picture for _, picture in draw(backbone, requests)]
    found = [(p, f.embedding) for p, f in zip(pictures, faces.read_many(pictures), strict=True) if f is not None]
    if not found:
        return pictures[0]
    centre = mean_embedding(np.stack([embedding for _, embedding in found]))
    sure = [r.whole_eyes or 0.0 for r in regions.read([picture for picture, _ in found])]
    least = min(float(EYES.weak_below or 0), sorted(sure, reverse=True)[:_CARD_SUREST][-1])
    whole = [pair for pair, eyes in zip(found, sure, strict=True) if eyes >= least]
    return max(whole, key=lambda pair: float(centre @ pair[1]))[0]


def _save_thumbnail(picture: NDArray[np.uint8], path: Path) -> None:
    Image.fromarray(picture).quantize(256).save(path, optimize=True)


def _seed(look: str, index: int) -> int:
    return 1000 + index + 100 * list(NAMES).index(look)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/donors"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    parser.add_argument("--looks", nargs="*", default=list(NAMES))
    parser.add_argument("--thumbnails", action="store_true", help="only draw the pictures on the donors' cards anew")
    args = parser.parse_args()
    loaded = load_backbone(resolve_backbone("miniature"))
    eyes = FaceReader(args.assets / "faces")
    if args.thumbnails:
        reader = RegionReader(args.assets / "reader")
        for known in (d for look in args.looks for d in load_donors(args.assets / "donors", look)):
            seed = _seed(known.category, NAMES[known.category].index(known.name))
            layers = read_lora(known.lora_path).layers
            _save_thumbnail(draw_portrait(loaded, known.category, layers, seed, eyes, reader), known.thumbnail_path)
        raise SystemExit
    base = b"".join(p.read_bytes() for p in sorted((args.assets / "flux").glob("*/*.safetensors")))
    for look_id in args.looks:
        people = chosen_people(look_id, len(NAMES[look_id]), eyes)
        for k, person in enumerate(people):
            folder = args.work / look_id / NAMES[look_id][k]
            folder.mkdir(parents=True, exist_ok=True)
            shipped = args.assets / "donors" / look_id / NAMES[look_id][k]
            # another recogniser, or more names, choose other people; and a LoRA fits the base that it was learnt on
            recipe = f"{PICTURES} {CONFIG.model_dump_json()} {FINISH.model_dump_json()}".encode()
            want = hashlib.sha256(person.numpy().tobytes() + recipe + base).hexdigest()
            stamp = folder / "made-of.txt"
            if stamp.exists() and stamp.read_text() == want:
                if (shipped / RECORD_NAME).exists():
                    continue
            else:
                shutil.rmtree(folder)
                shutil.rmtree(shipped, ignore_errors=True)
                folder.mkdir()
                stamp.write_text(want)
            begin = datetime.datetime.now()
            donor = make_donor(loaded, look_id, k, person, args.work, args.assets, eyes)
            seconds = (datetime.datetime.now() - begin).total_seconds()
            print(look_id, donor.name, end=" ")
            for part in (folder, folder / "finish"):
                losses = json.loads((part / "losses.json").read_text())
                print(f"loss {np.mean(losses[:20]):.3f} -> {np.mean(losses[-20:]):.3f}", end=" ")
            print(f"{seconds:.0f}s", flush=True)
