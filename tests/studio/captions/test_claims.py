"""A claim is compared as a whole: no number in another, no word in what denies it; what remains keeps its spaces."""

from __future__ import annotations

import pytest

from studio.captions.claims import drop_claims, unsupported_claims

NOT_SAID = [
    # numbers
    ("现在只要99元", "原价199元"), ("Only 2% sugar, 20 cm tall", "120 cm tall, 12% sugar"),
    ("保温3小时", "保温13小时，玻璃"),
    ("Now $9", "Now $49"), ("只要¥9.9", "到手价¥39.9"), ("容量500ml", "容量1500毫升"), ("5折", "75折"),
    ("2 years of use", "12 years"),
    ("三层加厚", "十三层加厚"), ("净重1kg", "净重11公斤"), ("Just 5 dollars", "Just 5.5 dollars"),
    ("已售1000件", "编号1000"),
    ("100 reviews", "Model 100"), ("199个好友", "199元"), ("只要99元", "只要99美元"), ("高20cm的瓶", "高120cm的瓶"),
    ("9.9元", "99元"),
    ("1,299 sold", "1.299 sold"), ("-20°C", "20°C"), ("9 years", "19 years"), ("满２００减", "满1200减"),
    # what is denied
    ("防水面料", "这款不防水"), ("包邮", "本店不包邮"), ("真皮质感", "仿真皮，PU面料"), ("纯棉T恤", "不是纯棉，是混纺"),
    ("支持退换", "特价商品不支持退换"),
    ("正品保证", "非正品"), ("羊毛大衣", "不含羊毛"), ("防晒", "没有防晒功能"), ("舒适", "穿久了不太舒适"),
    ("防水", "防水性不好"), ("透气", "未做透气处理"),
    ("有机", "并非有机"), ("保暖", "冬天不够保暖"), ("免费", "退货不免费"), ("环保", "无任何环保认证"),
    ("防水", "防水吗？答：否"),
    ("Waterproof shell", "This shell is not waterproof."), ("Real leather", "Faux leather"),
    ("Pure silk", "It isn't silk at all"),
    ("Breathable", "Not very breathable."), ("Soft wool", "Contains no wool; soft"),
    ("Safe for kids", "Not safe for children"),
    ("A warranty", "Sold without warranty"), ("Free returns", "Returns are not free"),
    ("Leather bag", "A leather-free bag"),
    ("Organic", "We don't use organic dyes"), ("Sustainable", "never certified sustainable"),
    ("Waterproof", "Waterproof? No."),
    ("Cotton", "imitation cotton"), ("Leather", "leather look"), ("Guaranteed", "Nothing is guaranteed? Ask us."),
    # the other way round
    ("这款不防水", "防水面料"), ("Not waterproof", "Waterproof shell"), ("不含羊毛", "含羊毛"),
    ("Faux leather", "Leather"),
    # words beside each other in the product's text make no third one
    ("最好", "最\n好的"), ("纯棉", "单纯。棉麻"),
    # English beside Chinese
    ("超级best的裙子", "裙子"), ("这款cotton面料", "面料"),
]  # fmt: skip
SAID = [
    ("只要99元", "现价99元，原价199元"), ("￥199 到手", "199元"), ("1,299 元", "价格1299块"), ("500 ml", "容量500毫升"),
    ("８折", "8折"),
    ("Only 20 cm", "20cm tall"), ("2 years", "a 2-year plan, 2 yrs"), ("3 colors", "comes in 3 colours"),
    ("1.5 kg", "1.5公斤"),
    ("防水面料", "防水，拉链处不防水"), ("防水又透气", "不仅防水还透气"),
    ("Waterproof", "Not only waterproof but light"),
    ("Cotton", "Not silk but cotton"), ("不含羊毛", "不含羊毛"), ("faux leather", "Faux leather bag"),
    ("water-proof", "Waterproof"),
    ("Hand made", "Handmade in Jingdezhen"), ("不锈钢", "304不锈钢"), ("不起球", "不起球不褪色"),
    ("最近很爱的裙子", ""), ("Try it at last.", ""),
    ("零添加香精，无添加", "无添加"), ("best seller", "a best-seller"), ("20％羊毛", "羊毛20%"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "product"), NOT_SAID)
def test_what_the_product_text_does_not_say_is_found(text: str, product: str) -> None:
    assert unsupported_claims(text, product)
    assert drop_claims(text, product)[0] != text


@pytest.mark.parametrize(("text", "product"), SAID)
def test_what_the_product_text_says_may_be_said(text: str, product: str) -> None:
    assert unsupported_claims(text, product) == ()
    assert drop_claims(text, product) == (text, ())


@pytest.mark.parametrize(
    ("text", "count", "found"),
    [
        ("9张图", "9", ()), ("Nine looks in 9 photos", "9", ()), ("9", "9", ()), ("All 9 in one place", "9", ()),
        ("Over 29 sold", "9", ("29 sold",)),
        ("全场9折", "9", ("9折",)), ("9元", "9", ("9元",)), ("9 sold", "9", ("9 sold",)), ("9%", "9", ("9%",)),
        ("又多了一层薄纱", "9", ()), ("9 inches", "9", ("9 inches",)),
        ("90张图", "9", ("90张",)),
    ],
)  # fmt: skip
def test_the_number_of_pictures_is_said_of_pictures_alone(text: str, count: str, found: tuple[str, ...]) -> None:
    assert unsupported_claims(text, "", [count]) == found


@pytest.mark.parametrize(
    ("text", "kept", "dropped"),
    [
        ("It’s a red dress. It’s waterproof. Try it on. See you.", "It’s a red dress. Try it on. See you.",
         ("It’s waterproof.",)),
        ("Café style. Waterproof! ✨ Love it — really. Silk too. Bye.", "Café style. ✨ Love it — really. Bye.",
         ("Waterproof!", "Silk too.")),
        ("Lovely in the café. Silk! Worn daily 💫", "Lovely in the café. Worn daily 💫", ("Silk!",)),
        ("红色连衣裙！！防水！！真好看。", "红色连衣裙！！真好看。", ("防水！",)),
        ("好看!防水!穿上吧!", "好看!穿上吧!", ("防水!",)),
        ("好看！ 防水！ 穿上吧！", "好看！ 穿上吧！", ("防水！",)),
        ("真丝。\n红色连衣裙。", "红色连衣裙。", ("真丝。",)),
        ("Silk. Silk. Red.", "Red.", ("Silk.",)),
        ("It is silk — “really”. Red dress.", "Red dress.", ("It is silk — “really”.",)),
        ("Naïve charm; soft as silk; it’s red", "Naïve charm; it’s red", ("soft as silk;",)),
    ],
)  # fmt: skip
def test_what_stays_stays_as_it_was_written(text: str, kept: str, dropped: tuple[str, ...]) -> None:
    assert drop_claims(text, "") == (kept, dropped)
