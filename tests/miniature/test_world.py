"""The world: same request, same pixels; its ground truth agrees with its pictures."""

import numpy as np
import torch

from miniature.captions import caption, corpus, train_clip_tokenizer, train_t5_tokenizer
from miniature.renders import draw_set
from miniature.world import World, look_identities, render, sample_identities, sample_scenes
from personas.measures.regions import LABELS
from personas.shots import OUTFIT_COLOURS, SETTINGS, Shot


def _world(shots: list[Shot], seed: int = 1, places: int = 5) -> World:
    g = torch.Generator().manual_seed(3)
    scenes = sample_scenes([s.setting for s in shots], [places] * len(shots))
    return World(sample_identities(len(shots), g), tuple(shots), scenes, seed)


def test_same_request_same_pixels_and_batches_do_not_matter() -> None:
    shots = [Shot(setting="beach"), Shot("close-up", "left", "laughing"), Shot("full-body", outfit="coat")]
    a, b = render(_world(shots)), render(_world(shots))
    assert torch.equal(a.images, b.images)
    assert a.images.shape == (3, 256, 192, 3)
    assert torch.equal(a.keypoints, b.keypoints)


def test_landmarks_are_there_and_places_differ() -> None:
    shots = [Shot(setting=s) for s in SETTINGS]
    empty = World(torch.zeros(10, 26), tuple(shots), sample_scenes(SETTINGS, [7] * 10), 1, with_person=False)
    other = World(torch.zeros(10, 26), tuple(shots), sample_scenes(SETTINGS, [8] * 10), 1, with_person=False)
    a, b = render(empty), render(other)
    share = (a.labels == LABELS.index("landmark")).float().mean(dim=(1, 2))
    assert (share > 0.005).all()
    assert (share < 0.4).all()
    assert ((a.images.int() - b.images.int()).abs().float().mean(dim=(1, 2, 3)) > 5).all()


def test_labels_and_keypoints_agree_with_the_shot() -> None:
    shots = [Shot(f, outfit_colour="red") for f in ("close-up", "half-body", "full-body")]
    drawn = render(_world(shots))
    face = (drawn.labels == LABELS.index("face")).sum(dim=(1, 2))
    assert face[0] > 2 * face[1] > 4 * face[2]
    feet = drawn.keypoints[:, -2:, 2]
    assert feet[2].all()
    assert not feet[0].any()
    for k in range(3):
        x, y = (int(v) for v in drawn.keypoints[k, 2, :2])  # the nose lies in the face
        assert drawn.labels[k, y, x] == LABELS.index("face")
    clothes = drawn.images[1][drawn.labels[1] == LABELS.index("clothes")].float().mean(dim=0)
    assert clothes[0] > clothes[1] + 40


def test_views_turn_the_nose() -> None:
    shots = [Shot("close-up", v) for v in ("left", "front", "right")]
    points = render(_world(shots)).keypoints
    offset = points[:, 2, 0] - points[:, :2, 0].mean(dim=1)
    assert offset[0] < offset[1] < offset[2]


def test_looks_differ_and_stay_in_range() -> None:
    g = torch.Generator().manual_seed(0)
    people = {look: look_identities(look, 50, g) for look in ("sweet", "mature", "ceo", "boyish")}
    assert all(p.abs().max() <= 1 for p in people.values())
    assert people["ceo"][:, -1].min() > 0.5 > -0.5 > people["sweet"][:, -1].max()


def test_a_broken_off_render_set_goes_on(tmp_path) -> None:  # type: ignore[no-untyped-def]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    draw_set(whole, 8, 4)
    draw_set(broken, 8, 4)
    images = np.load(broken / "images.npy")
    images[4:] = 0
    np.save(broken / "images.npy", images)
    (broken / "done.txt").write_text("4")
    draw_set(broken, 8, 4)
    np.testing.assert_array_equal(np.load(whole / "images.npy"), np.load(broken / "images.npy"))


def test_tokenizers_know_every_word_and_survive_others() -> None:
    lines = corpus(300)
    t5, clip = train_t5_tokenizer(lines, 48), train_clip_tokenizer(lines)
    text = Shot("close-up", "left", "laughing", "night", "hoodie", "purple").prompt("a young woman", "ohwx")
    assert len(t5(text).input_ids) < 45
    assert t5.unk_token_id not in t5(text).input_ids
    assert t5.decode(t5(text).input_ids, skip_special_tokens=True).replace(" ,", ",") == text
    assert len(clip(text).input_ids) <= 77
    assert clip("你好 wörld").input_ids[-1] == clip.eos_token_id
    assert train_clip_tokenizer(lines).get_vocab() == clip.get_vocab()  # a resumed training finds its words again


def test_captions_name_what_is_there() -> None:
    import random
    from dataclasses import asdict

    facts = asdict(Shot(outfit_colour="green", outfit="suit")) | {"look": "ceo", "masculine": True}
    texts = [caption(facts, random.Random(i)) for i in range(200)]
    assert sum("green suit" in t for t in texts) > 180
    assert any("ohwx" in t for t in texts)
    assert not any(f"a {c} " in t for t in texts for c in OUTFIT_COLOURS if c != "green")
