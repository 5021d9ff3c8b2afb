"""The studio's own captions: within every platform's limits, varied, and without a claim that the product's text does
not make, over many sets."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from personas.shots import GOODS, Shot, vary_shots
from pipelines.errors import BadInput
from studio.captions.claims import drop_claims, unsupported_claims
from studio.captions.facts import SetFacts, post_facts, read_facts, read_voice, split_sentences
from studio.captions.templates import cut, fit_tags, plain_posts, shorten, untaken, write_set
from studio.domain.bundle import CheckRequest, ExportRequest
from studio.domain.captions import CaptionsRequest
from studio.domain.platforms import find_platform, load_platforms, overlong, text_length
from studio.domain.posts import MOST_SHOTS
from studio.domain.values import MOST_CAPTION
from studio.texts.texts import LANGUAGES, Language, Texts
from tests.studio.domain.values import make_post_set

PRODUCTS = {
    "zh": "纯棉圆领，机洗不变形。白色、黑色两色可选。售价99元，包邮！",
    "en": "Pure cotton with a round neck. Machine washable at 30 °C. Two colours, $29, free shipping!",
}
VOICES = ("", "活泼，带表情", "正式、专业", "lively, with emoji", "sober and factual", "no emoji")
PLACES = ("cafe", "street", "我们的店", "our shop")


def facts_of(language: Language, seed: int, platform: str = "xiaohongshu", **changed: Any) -> SetFacts:
    rng, t = random.Random(seed), Texts(language)
    shots = vary_shots(rng.randint(1, 35), seed, goods=GOODS)
    place, product = rng.choice(PLACES), rng.choice(("", PRODUCTS[language]))
    told: dict[str, Any] = {
        "name": "Lin", "posts": tuple(post_facts(t, shot, place) for shot in shots), "language": language,
        "product": split_sentences(product), "voice": read_voice(rng.choice(VOICES)),
        "platform": find_platform(platform),
    }  # fmt: skip
    return SetFacts(**told | changed)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_claim_over_many_sets_that_the_product_text_does_not_make(language: Language) -> None:
    texts = 0
    for seed in range(200):
        facts = facts_of(language, seed, random.Random(seed).choice([row.id for row in load_platforms()]))
        written = write_set(facts, seed)
        product = "".join(facts.product)
        seen = [str(len(facts.posts)), *(word for p in facts.posts for word in (p.wear, p.place, p.goods))]
        for text in (written.title, written.body, *written.tags, *written.captions):
            assert unsupported_claims(text, product, seen) == (), text
            texts += 1
            for sentence in split_sentences(text):  # a number or price comes as it stands, or not at all
                assert not re.search(r"99元|\$29|30 °C", sentence) or any(s in text for s in facts.product), sentence
    assert texts > 3000


@pytest.mark.parametrize("platform", load_platforms(), ids=lambda row: row.id)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_within_the_platforms_limits(language: Language, platform: Any) -> None:
    for seed in range(40):
        long = ("很长的一句产品说明，" * 40 + "。", *split_sentences(PRODUCTS[language] * 30))
        for product in ((), split_sentences(PRODUCTS[language]), long):
            facts = facts_of(language, seed, platform.id, product=product)
            written = write_set(facts, seed)
            assert overlong(platform, written.title, written.body, written.tags) == ()
            assert len(written.captions) == len(facts.posts)
            assert all(0 < len(caption) <= MOST_CAPTION for caption in written.captions)
            assert bool(written.title) == (platform.max_title > 0)
            assert platform.max_body > 0 or not (written.body or written.tags)
            assert all("#" not in tag and " " not in tag for tag in written.tags)


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_posts_of_a_set_say_the_same(language: Language, voice: str) -> None:
    for seed in range(30):
        facts = facts_of(language, seed, voice=read_voice(voice))
        one = facts.posts[0]
        alike = replace(facts, posts=(one,) * 18, product=())  # eighteen times the very same picture
        captions = write_set(alike, seed).captions
        assert len(set(captions)) == 18
        beginnings = {re.split("[。！～.!?；，,:：]", c)[0] for c in captions[:9]}
        assert len(beginnings) >= 6, captions[:9]
        assert write_set(alike, seed).captions == captions
        assert write_set(alike, seed + 1).captions != captions


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_as_many_posts_as_a_set_may_have_say_different_things(language: Language, voice: str) -> None:
    t, sentences = Texts(language), split_sentences(PRODUCTS[language])
    for seed in range(6):
        for place in ("", "cafe"):
            one = post_facts(t, vary_shots(1, seed, goods=GOODS)[0], place)
            for product in ((), sentences[:1], sentences, ("很长的一句产品说明，" * 40,)):
                posts = (one,) * MOST_SHOTS
                facts = facts_of(language, seed, posts=posts, product=product, voice=read_voice(voice))
                captions = write_set(facts, seed).captions
                assert len(set(captions)) == MOST_SHOTS
                assert not any(caption.endswith(")") for caption in captions)
                assert not product or any(product[0][:20] in caption for caption in captions) or len(product[0]) > 200


def test_where_no_other_words_are_left_captions_are_numbered() -> None:
    assert untaken("a", {"b"}) == "a"
    assert untaken("a", {"a", "a (2)"}) == "a (3)"
    long = "x" * MOST_CAPTION
    assert len(untaken(long, {long})) <= MOST_CAPTION
    facts = facts_of("en", 1, product=())
    alike = replace(facts, posts=(facts.posts[0],) * 300)
    captions = write_set(alike, 1).captions
    assert len(set(captions)) == 300


def test_a_set_without_posts_is_refused_in_words() -> None:
    empty = make_post_set(2).model_copy(update={"posts": ()})
    for asked in (
        CaptionsRequest.make(post_set=empty), CaptionsRequest.make(post_set=empty, writer="endpoint"),
        *(ExportRequest.make(post_set=empty, platform=row.id) for row in load_platforms()),
        *(CheckRequest.make(post_set=empty, platform=row.id) for row in load_platforms()),
    ):  # fmt: skip
        with pytest.raises(BadInput, match="posts_all_left_out") as refused:
            asked.check_before()
    for language in LANGUAGES:
        assert Texts(language)("posts.leave") in Texts(language).error(refused.value)  # the button to press


def test_a_voice_is_heard() -> None:
    assert (read_voice("").style, read_voice("").emoji) == ("plain", False)
    assert (read_voice("活泼一点，多用表情").style, read_voice("活泼一点，多用表情").emoji) == ("lively", True)
    assert not read_voice("Playful, but no emoji please").emoji
    assert read_voice("serious and professional").style == "formal"
    facts = facts_of("zh", 3, voice=read_voice("活泼，带表情"), product=())
    assert all(re.search("[✨🌿💫🍃🎈👀🌟🤍]$", caption) for caption in write_set(facts, 3).captions)
    voices = (read_voice("活泼"), read_voice("正式"), read_voice(""))
    assert len({write_set(replace(facts, voice=voice), 3).captions[0] for voice in voices}) == 3


@pytest.mark.parametrize(
    ("described", "style", "emoji"),
    [
        ("don't use emoji", "plain", False), ("不要用表情", "plain", False), ("别加表情", "plain", False),
        ("avoid emojis", "plain", False), ("without any emoji", "plain", False), ("少用表情", "plain", False),
        ("not formal", "plain", False), ("不要太正式", "plain", False), ("别太严肃，活泼一点", "lively", False),
        ("never serious, always playful", "lively", False), ("informal", "plain", False),
        ("functional", "plain", False),
        ("不活泼", "plain", False), ("专业但不严肃", "formal", False),
        ("warm but not cute, with emoji", "lively", True),
        ("不要正式，要加表情", "plain", True), ("sober; no smileys", "formal", False),
    ],
)  # fmt: skip
def test_what_a_voice_shall_not_be_is_not_heard_as_what_it_is(described: str, style: str, emoji: bool) -> None:
    voice = read_voice(described)
    assert (voice.style, voice.emoji) == (style, emoji)


def _is_short(most: int, text: str) -> bool:
    return len(text) <= most


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("这款真丝连衣裙现在活动价只要1299元包邮到家", "1299元"), ("今日到手价仅需要人民币1,299元送到家", "1,299元"),
        ("The red dress is now only $1,299.50 for all", "$1,299.50"), ("容量500ml的杯子今天只要5折起", "500ml"),
        ("净重12.5公斤", "12.5公斤"), ("羊毛含量100%的大衣", "100%"),
        ("面料的防水性不好，请勿水洗", "防水性不好"), ("A leather-free bag", "leather-free"),
    ],
)  # fmt: skip
def test_a_claim_is_cut_off_whole(text: str, number: str) -> None:
    platform = find_platform("xiaohongshu")
    at, unit = text.index(number), len(number)
    for most in range(1, 40):
        for kept in (shorten(text, most, platform, "title"), cut(text, partial(_is_short, most))):
            assert text.startswith(kept)
            assert len(kept) <= at or len(kept) >= at + unit, kept


def test_a_text_is_cut_behind_a_mark_where_there_is_one() -> None:
    assert cut("今天看红色连衣裙。面料防水性不好。", lambda said: len(said) <= 13) == "今天看红色连衣裙。"
    assert cut("A red dress. It is not that warm", lambda said: len(said) <= 22) == "A red dress."
    assert cut("一" * 50, lambda said: len(said) <= 7) == "一" * 7
    assert cut("short", lambda said: len(said) <= 7) == "short"


def test_a_title_says_a_whole_price() -> None:
    product = "现价1,299元包邮到家，面料柔软不起球，四季都能穿，送运费险。"
    asked = CaptionsRequest.make(post_set=make_post_set(2), product=product, platform="xiaohongshu")
    assert write_set(read_facts(asked), 1).title == "现价1,299元包邮到家"


def test_own_words_are_said_in_the_captions_language() -> None:
    shot = Shot(outfit="旗袍", outfit_colour="米色", goods="口红")
    english, chinese = (post_facts(Texts(language), shot, "cafe") for language in ("en", "zh"))
    assert (english.wear, english.goods) == ("beige qipao", "lipstick")
    assert (chinese.wear, chinese.goods) == ("米色旗袍", "口红")
    both = replace(shot, outfit="白色T恤和蓝色牛仔裤", outfit_colour="white")
    assert post_facts(Texts("zh"), both, "").wear == "白色T恤和蓝色牛仔裤"
    assert post_facts(Texts("en"), replace(shot, outfit="仙女裙装"), "").wear == "beige 仙女裙装"


def test_captions_tell_what_the_posts_show_and_the_text_says() -> None:
    asked = CaptionsRequest.make(post_set=make_post_set(6), product=PRODUCTS["zh"], platform="xiaohongshu")
    facts = read_facts(asked)
    assert facts.language == "zh"
    written = write_set(facts, 1)
    assert "白色T恤" in written.tags
    assert "咖啡馆" in written.body
    assert "纯棉圆领，机洗不变形。" in written.body
    assert any("白色、黑色两色可选。" in caption for caption in written.captions)
    assert any("白色T恤" in caption and "咖啡馆" in caption for caption in written.captions)
    assert text_length(written.title, "half_ascii") <= 20
    assert read_facts(asked.changed(platform="instagram")).language == "en"
    assert read_facts(asked.changed(platform="instagram", language="zh")).language == "zh"


@pytest.mark.parametrize("language", LANGUAGES)
def test_before_a_set_is_drawn_captions_are_varied_too(language: Language) -> None:
    for seed in range(30):
        facts = [post_facts(Texts(language), shot, "") for shot in vary_shots(9, seed, goods=GOODS)]
        captions = [plain_posts(one, language)[0] for one in facts]
        assert captions == [plain_posts(one, language)[0] for one in facts]
        assert len({re.sub("|".join(re.escape(f.wear) for f in facts), "…", c, flags=re.I) for c in captions}) >= 4
        assert all(unsupported_claims(caption, "") == () for caption in captions)
    for one in facts:  # the same list drawn set after set
        assert len(set(plain_posts(one, language)[:10])) == 10


def test_a_tag_has_no_mark_at_which_a_platform_would_end_it() -> None:
    assert fit_tags(("#white t-shirt", "Rock’n’Roll", "café 咖啡"), find_platform("instagram")) == (
        "whitetshirt", "RocknRoll", "café咖啡",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("纯棉T恤，透气又显瘦", {"纯棉", "透气", "显瘦"}), ("全网第一，限时8折", {"第一", "限时", "8折"}),
        ("这条裙子最美", {"最美"}), ("Made of silk, 100% waterproof", {"silk", "100%", "waterproof"}),
        ("The best bargain, free returns", {"best", "bargain", "free"}), ("红色连衣裙，在咖啡馆。", set()),
        ("A red dress in the café.", set()), ("能治疗失眠", {"治疗"}), ("今日到手价 59 元", {"59 元"}),
    ],
)  # fmt: skip
def test_claims_are_found(text: str, claims: set[str]) -> None:
    assert set(unsupported_claims(text, "")) == claims
    assert unsupported_claims(text, text) == ()


def test_only_the_sentences_that_claim_are_dropped() -> None:
    text = "红色连衣裙，在咖啡馆。纯棉面料。\n全网最低价！Lovely colour. The best silk in town."
    kept, dropped = drop_claims(text, "面料是纯棉。")
    assert kept == "红色连衣裙，在咖啡馆。纯棉面料。\nLovely colour."
    assert dropped == ("全网最低价！", "The best silk in town.")


def test_what_is_too_long_is_cut_behind_a_word() -> None:
    platform = find_platform("xiaohongshu")
    assert shorten("a red dress in the café by the sea", 10, platform, "title") == "a red dress in the"
    assert text_length(shorten("秋" * 50, 20, platform, "title"), "half_ascii") == 20
    assert shorten("short", 20, platform, "title") == "short"
