"""Claims that a text makes of goods: numbers, materials, effects, superlatives, offers. Pure.

A caption may claim only what the product's text says. The studio's own sentences claim nothing; what a language model
wrote is held to this list, sentence by sentence. A claim is compared as a whole and with what denies it: 99元 is not in
199元, and of 不防水 nobody may say 防水.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from studio.captions.facts import sentence_spans

__all__ = ["claim_spans", "drop_claims", "unsupported_claims"]

_UNITS = {
    "%": r"%|percent\b|per cent\b", "折": "折", "元": r"元|块钱?|rmb\b|yuan\b|cny\b",
    "$": r"\$|dollars?\b|usd\b|美元|美金",
    "€": r"€|euros?\b|欧元", "£": r"£|pounds?\b|英镑", "¥": "¥", "ml": r"ml\b|毫升", "l": r"l\b|lit(?:re|er)s?\b|升",
    "kg": r"kg\b|公斤|千克|kilos?\b", "斤": "斤", "g": r"g\b|grams?\b|克", "cm": r"cm\b|厘米|公分", "mm": r"mm\b|毫米",
    "m": r"m\b|met(?:re|er)s?\b|米", "inch": r"inch(?:es)?\b|in\.|英寸|寸", "°": r"°c?|℃|degrees?\b|度",
    "year": r"(?:years?|yrs?)\b|年", "month": r"months?\b|个月|月", "week": r"weeks?\b|周", "day": r"days?\b|天|日",
    "hour": r"(?:hours?|hrs?)\b|小时", "minute": r"(?:minutes?|mins?)\b|分钟", "second": r"seconds?\b|秒",
    "times": r"times\b|x\b|倍", "layer": r"(?:layers?|ply)\b|层|重", "pair": r"pairs?\b|双",
    "piece": r"(?:pieces?|pcs)\b|件套?|片|支|只|条|个|款|套|瓶|盒|袋|包", "colour": r"colou?rs?\b|[种个]?颜?色",
    "kind": "种",
    "size": r"sizes?\b|[个种]?尺?码",
    "picture": r"(?:pictures?|photos?|images?|shots?|looks?|posts?|outfits?)\b|张|幅|组|图",
    "sold": r"sold\b|reviews?\b|customers?\b|buyers?\b|orders?\b|人|位|单|次", "star": r"stars?\b|星|分",
    "10 000": "万|k\\b", "mah": r"mah\b|毫安", "w": r"w\b|watts?\b|瓦", "gb": r"gb\b", "year of age": "岁",
}  # fmt: skip
_WIDE = str.maketrans("０１２３４５６７８９％．￥＄", "0123456789%.¥$")
_COUNTED = ("", "picture", "piece", "times")  # what a number of pictures may be said of
_NUMBER = (
    r"(?:[¥$€£]\s*)?(?:(?<![\w.])[-−])?\d+(?:[.,]\d+)*\s*(?:" + "|".join(_UNITS.values()) + ")?"
    r"|(?!一层)[零一二三四五六七八九十百千万两半]+(?:折|块钱|元|倍|层|公斤|斤|厘米|件套)"
)
_CLAIMS = re.compile(
    rf"(?P<number>{_NUMBER})"
    # materials and makes
    r"|纯棉|全棉|真丝|桑蚕丝|羊毛|羊绒|亚麻|真皮|头层牛皮|牛皮|有机|天然|不锈钢|纯银|纯金|玻璃|陶瓷|竹纤维|涤纶|手工|进口|国产|原产"
    r"|\b(?:cotton|silk|wool|cashmere|linen|leather|organic|natural|stainless|steel|silver|gold|glass|ceramic|bamboo"
    r"|polyester|hand-?made|imported|vegan|recycled)\b"
    # what it does
    r"|防水|防晒|防风|保暖|透气|速干|抗皱|不起球|不褪色|不变形|显瘦|显高|遮肉|美白|保湿|祛痘|去皱|抗衰|减肥|瘦身|治疗|治愈|缓解|排毒|助眠"
    r"|养颜|补水|杀菌|抗菌|无添加|无毒|环保|安全|健康|舒适|舒服|柔软|亲肤|耐用|耐磨|保温|防滑|防摔|防漏"
    r"|祛斑|淡斑|控油|紧致|抗氧化|不掉色|不脱妆|不沾杯|燃脂|增高"
    r"|\b(?:water-?proof|wind-?proof|breathable|quick-?dry\w*|wrinkle-?free|slimming|flattering|whitening|moisturi[sz]\w+"
    r"|anti-?aging|anti-?bacterial|heal\w*|cure[sd]?|reliev\w+|detox\w*|non-?toxic|eco-?friendly|sustainable|safe|healthy"
    r"|comfort\w*|soft|durable|insulated|warm\w*|non-?slip"
    r"|leak-?proof|stain-?resistant|hypoallergenic|long-?lasting)\b"
    # superlatives, proofs, offers
    r"|最(?![近后初终])[好佳优美强低高新热]?|第一(?![张次个天组])|唯一|顶级|极致|完美|百分百|绝对|保证|正品|官方|认证|专利|获奖|销量|爆款|热卖"
    r"|断货|好评|明星同款|网红|限时|限量|特价|打折|优惠|包邮|免费|赠|买一送一|秒杀|清仓|降价|性价比|划算|平价|退换|半价|免邮|免运费|返现|满减|立减"
    r"|\b(?:best|finest|perfect|number one|no\. ?1|unique|premium|luxur\w+|guarantee\w*|official|certified|patented"
    r"|award|best-?sell\w*|sold out|limited|sale|discount|% off|half (?:price|off)|free|bargain|cheap|cheapest|lowest"
    r"|deal|coupon|clearance|affordable|value|refund|warranty)\b",
    re.IGNORECASE | re.ASCII,  # so that an English word ends before a Chinese letter
)
_CLAUSE = re.compile(r"[。！？!?；;，,：:\n]|\.(?=\s|$)|\b(?:but|yet|although)\b|但|却|而是", re.IGNORECASE | re.ASCII)
_DENIED = re.compile(
    r"(?:(?:不|没有|没|非|未|无|勿|别|免谈|缺乏|谢绝|仿|假|人造)"
    r"(?:是|能|会|太|很|够|具备|具有|含有?|支持|完全|需要?|用|那么|怎么|建议|做|提供|再|可以?|任何|参加|属于|算|采用|使用|享受?|防?)*"
    r"|(?:\b(?:not|never|cannot|nor|neither)|n['’]t)\b(?!\s+(?:only|just|merely))(?:\s+[\w'’-]+){0,3}"
    r"|\b(?:no|without|non|faux|fake|imitation|artificial|mock|zero|lacks?)\b(?!-)(?:\s+\w+)?)[\s-]*$",
    re.IGNORECASE | re.ASCII,
)
_DENIED_BEHIND = re.compile(
    r"\s*(?:性能?|效果|功能|能力|度)*(?:不[好佳足强够行高]|较差|很差|差|没有|未知)|[\s-]+free\b|[\s-]+(?:look|effect|style|like)\b"
    r"|\s*(?:is|are)?\s*(?:not|n['’]t)\b",
    re.IGNORECASE | re.ASCII,
)


def unsupported_claims(text: str, product: str, seen: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what a text claims and the product's text does not say; `seen` are words of what the pictures show."""
    asked = ("?", "？", "吗")  # who asks does not say so
    said = [product[slice(*span)] for span in sentence_spans(product)]
    told = {key for one in (*said, *seen) if not one.endswith(asked) for _, key in _claims(one)}
    # how many pictures there are is a bare number, which may be said of pictures alone
    told |= {f"{one.strip()} {unit}".strip() for one in seen if one.strip().isdecimal() for unit in _COUNTED}
    return tuple(dict.fromkeys(shown for shown, key in _claims(text) if key not in told))


def drop_claims(text: str, product: str, seen: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """Return the text without the sentences that claim what the product's text does not say, and those sentences."""
    kept, at, dropped = "", 0, []
    for first, last in sentence_spans(text):
        said = " ".join(text[first:last].split())
        if unsupported_claims(said, product, seen):
            dropped.append(said)
            kept += text[at:first]
            at = last
            while at < len(text) and text[at] in "。！？!?；;.… \t":  # "！！", and what parted it from the next
                at += 1
    lines = (line.strip() for line in (kept + text[at:]).splitlines())
    return "\n".join(line for line in lines if line), tuple(dict.fromkeys(dropped))


def claim_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return where a text claims something, [first, last) letters of each claim with what denies it behind it: cut
    within, it would say something else.
    """
    found = []
    for match in _CLAIMS.finditer(text.translate(_WIDE)):
        denied = _DENIED_BEHIND.match(text, match.end())
        found.append((match.start(), match.end() if denied is None else denied.end()))
    return tuple(found)


def _claims(text: str) -> Iterator[tuple[str, str]]:
    """Yield each claim as it is written, and as it is compared: in one spelling, with "-" where it is denied."""
    text = text.translate(_WIDE)
    for match in _CLAIMS.finditer(text):
        before = _CLAUSE.split(text[: match.start()])[-1]
        denied = bool(_DENIED.search(before)) != bool(_DENIED_BEHIND.match(text, match.end()))
        key = _number_key(match.group()) if match["number"] else re.sub(r"[\s-]", "", match.group().casefold())
        yield " ".join(match.group().split()).casefold(), f"-{key}" if denied else key


def _number_key(said: str) -> str:
    """Return a number and its unit in one spelling: "1,299 元", "￥1299" and "1299块" are the same."""
    plain = said.casefold().replace("−", "-").strip()
    found = re.search(r"-?\d+(?:[.,]\d+)*|[零一二三四五六七八九十百千万两半]+", plain)
    assert found is not None
    unit = (plain[: found.start()] + plain[found.end() :]).strip()
    names = (name for name, spellings in _UNITS.items() if unit and re.fullmatch(spellings, unit))
    name = next(names, unit)
    return f"{re.sub(',(?=[0-9]{3}(?:[^0-9]|$))', '', found.group())} {'元' if name == '¥' else name}".strip()
