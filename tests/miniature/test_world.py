"""The world: same request, same pixels; its ground truth agrees with its pictures."""

import json
import random
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer, T5Tokenizer

from miniature.captions import caption, corpus, train_clip_tokenizer, train_t5_tokenizer
from miniature.earlier import grow
from miniature.flux import Parts
from miniature.renders import draw_set
from miniature.training import Average, Both, load_checkpoint, save_checkpoint
from miniature.wordings import clauses
from miniature.world import Wear, World, look_identities, render, sample_identities, sample_scenes
from miniature.world.render import _look
from personas.measures.regions import KEYPOINTS, LABELS
from personas.shots import FRAMINGS, GOODS, OUTFIT_COLOURS, SETTINGS, Shot, vary_shots


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


def test_without_wear_renders_are_those_of_before() -> None:
    """What was trained on them must not meet others: the seed's draws keep their order, and shoes are dark trousers."""
    shots = [Shot("full-body", goods="bag", setting="park"), Shot("full-body", outfit="dress", setting="shop")]
    look = _look(_world(shots), 128, 96)
    assert (look.bottom_rgb * 255).round().tolist() == [[150, 140, 124], [60, 58, 60]]
    assert look.eye_open.tolist() == pytest.approx([1.0219136, 0.9766179])
    assert look.goods_rgb.tolist()[0] == pytest.approx([0.86, 0.26, 0.4864998])
    wear = Wear(look.bottom_rgb, look.bottom_rgb * 0.45, look.goods_rgb)
    plain = render(_world(shots), 128, 96)
    told = render(replace(_world(shots), wear=wear), 128, 96)
    assert torch.equal(plain.images, told.images)
    assert torch.equal(plain.labels, told.labels)


def test_somebody_is_dressed_alike_twice() -> None:
    """Other seeds, one wear: trousers, shoes and goods have its colours, and nothing else moved."""
    shots = [Shot("full-body", goods="bag", setting="park")]
    wear = Wear(torch.tensor([[0.1, 0.5, 0.1]]), torch.tensor([[0.9, 0.2, 0.1]]), torch.tensor([[0.1, 0.2, 0.9]]))
    told = [
        render(World(w.identity, w.shots, w.scenes, seed, wear=wear)) for seed in (1, 2) for w in (_world(shots, seed),)
    ]
    for seed, drawn in zip((1, 2), told, strict=True):
        plain = render(_world(shots, seed))
        assert torch.equal(plain.labels, drawn.labels)
        assert torch.equal(plain.keypoints, drawn.keypoints)
        points = drawn.keypoints[0]
        for name, colour in (("knee_left", wear.bottom_rgb), ("foot_left", wear.shoe_rgb)):
            x, y = (int(v) for v in points[KEYPOINTS.index(name), :2])
            assert (drawn.images[0, y, x] / 255 - colour[0]).abs().max() < 0.12
        goods = drawn.images[0][drawn.labels[0] == LABELS.index("goods")].float().mean(dim=0)
        assert goods[2] > 1.5 * goods[0]


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


def test_goods_are_in_the_hand_and_keep_off_the_face() -> None:
    for framing in FRAMINGS:
        shots = [Shot(framing, goods=g) for g in GOODS]
        drawn = render(_world(shots))
        goods = drawn.labels == LABELS.index("goods")
        faces = (drawn.labels == LABELS.index("face")).sum(dim=(1, 2))
        shares = goods.float().mean(dim=(1, 2))
        assert shares[0] == 0
        assert (shares[1:] > {"close-up": 0.03, "half-body": 0.01, "full-body": 0.003}[framing]).all(), framing
        for k in range(1, len(GOODS)):
            ys, xs = np.nonzero(goods[k].numpy())
            x, y = drawn.keypoints[k, KEYPOINTS.index("hand_left"), :2].tolist()
            head = float(drawn.keypoints[k, 6, 1] - drawn.keypoints[k, 5, 1])
            assert min(np.hypot(xs - x, ys - y)) < 0.3 * head, (framing, GOODS[k])
            assert faces[k] > 0.6 * faces[0]
        pictures = drawn.images.float()
        assert all((pictures[0] - pictures[k]).abs().mean() > 0.5 for k in range(1, len(GOODS)))


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


def test_renders_have_goods_in_every_other_picture_and_square_ones_their_size(tmp_path: Path) -> None:
    draw_set(tmp_path / "square", 16, 4, 256, 256)
    facts = json.loads((tmp_path / "square" / "attributes.json").read_text())
    assert sum(f["goods"] == "nothing" for f in facts) == 8
    assert {f["goods"] for f in facts} == set(GOODS)
    assert np.load(tmp_path / "square" / "images.npy").shape == (16, 256, 256, 3)
    assert np.load(tmp_path / "square" / "images.npy")[-1].std() > 10


def test_a_broken_off_render_set_goes_on(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    draw_set(whole, 8, 4)
    draw_set(broken, 8, 4)
    images = np.load(broken / "images.npy")
    images[4:] = 0
    np.save(broken / "images.npy", images)
    (broken / "done.txt").write_text("4")
    draw_set(broken, 8, 4)
    np.testing.assert_array_equal(np.load(whole / "images.npy"), np.load(broken / "images.npy"))
    with pytest.raises(SystemExit, match="another world"):
        draw_set(broken, 8, 5)


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


def test_longer_tokenizers_keep_every_word_in_its_place() -> None:
    shots = vary_shots(40, 1)
    old = [shot.prompt("a young woman", "ohwx") for shot in shots]
    t5, clip = train_t5_tokenizer(old, 48), train_clip_tokenizer(old, 700)
    lines = corpus(300)
    longer = train_t5_tokenizer(lines, 48, t5), train_clip_tokenizer(lines, earlier=clip)
    for before, after in zip((t5, clip), longer, strict=True):
        assert len(after) > len(before)
        words = after.get_vocab()
        assert all(words[word] == place for word, place in before.get_vocab().items())
        assert all(before(text).input_ids == after(text).input_ids for text in old[:10])
    text = "ohwx 年轻女子的半身照，面向镜头，微笑，穿着红色连衣裙，拿着瓶子，在咖啡馆，白天"
    assert t5.unk_token_id not in longer[0](text).input_ids
    assert len(longer[0](text).input_ids) < 30
    assert len(longer[1](text).input_ids) < 60


def test_a_checkpoint_goes_on_with_more_words(tmp_path: Path) -> None:
    lines = [shot.prompt("a young woman", "ohwx") for shot in vary_shots(40, 1)]
    t5, clip = train_t5_tokenizer(lines, 48), train_clip_tokenizer(lines, 700)
    t5.save_pretrained(tmp_path / "tokenizer_2")
    clip.save_pretrained(tmp_path / "tokenizer")
    parts = Parts(len(t5), len(clip), clip.eos_token_id)
    optimizer = Both(parts, lambda name, p: name.endswith("context_embedder.weight"), 1e-3)
    save_checkpoint(tmp_path / "checkpoint.pt", parts, Average(parts, 0.9), optimizer, 7, 60.0, [])
    grow(tmp_path)
    longer = (
        T5Tokenizer.from_pretrained(tmp_path / "tokenizer_2"),
        CLIPTokenizer.from_pretrained(tmp_path / "tokenizer"),
    )
    grown = Parts(len(longer[0]), len(longer[1]), clip.eos_token_id)
    average = Average(grown, 0.9)
    step, spent, _ = load_checkpoint(
        tmp_path / "checkpoint.pt",
        grown,
        average,
        Both(grown, lambda name, p: name.endswith("context_embedder.weight"), 1e-3),
    )
    assert (step, spent) == (7, 60.0)
    table = grown.text_encoder_2.get_input_embeddings().weight
    assert torch.equal(table[: len(t5)], parts.text_encoder_2.get_input_embeddings().weight)
    assert torch.equal(table, average.state["text_encoder_2.shared.weight"])
    assert table[len(t5) :].std() > 0
    words = longer[0](lines[0], return_tensors="pt").input_ids
    assert torch.equal(grown.text_encoder_2(words)[0], parts.text_encoder_2(words)[0])


def test_every_word_of_a_shot_has_other_wordings_in_both_languages() -> None:
    for shot in vary_shots(40, 2, goods=GOODS):
        for chinese in (False, True):
            said = clauses(shot, "a woman", "", random.Random(1), chinese=chinese)
            assert len(said) == 7 + (shot.goods != "nothing")
            assert all("{" not in c.text for c in said)


def test_captions_name_what_is_there() -> None:
    facts = asdict(Shot(outfit_colour="green", outfit="suit", goods="cup")) | {"look": "ceo", "masculine": True}
    texts = [caption(facts, random.Random(i)) for i in range(300)]
    chinese = [t for t in texts if "，" in t]
    assert 40 < len(chinese) < 90
    english = [t for t in texts if t not in chinese]
    assert sum("green suit" in t for t in english) > 0.9 * len(english)
    assert sum("绿色西" in t for t in chinese) > 0.9 * len(chinese)
    assert sum("cup" in t or "mug" in t for t in english) > 0.9 * len(english)
    assert sum("杯" in t for t in chinese) > 0.9 * len(chinese)
    own = Shot(outfit_colour="green", outfit="suit", goods="cup").prompt("a confident man", "ohwx")
    assert sum(t == own for t in texts) > 30
    assert len(set(texts)) > 100
    assert any("ohwx" in t for t in texts)
    assert not any(f"a {c} " in t for t in texts for c in OUTFIT_COLOURS if c != "green")
    dropped = [caption(facts | {"setting": "beach"}, random.Random(i), drop_setting=1.0) for i in range(100)]
    assert not any(word in t for t in dropped for word in ("beach", "sea", "海"))
