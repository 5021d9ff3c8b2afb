"""Claims that a text makes of goods: numbers, materials, effects, superlatives, offers. Pure.

A caption may claim only what the product's text says. The studio's own sentences claim nothing; what a language model
wrote is held to this list, sentence by sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from studio.captions.facts import split_sentences

__all__ = ["drop_claims", "unsupported_claims"]

_CLAIMS = re.compile(
    r"\d+(?:[.,]\d+)*\s*(?:%|％|折|元|块|¥|￥|\$|€|£|ml|毫升|kg|公斤|克|g\b|cm|厘米|mm|年|天|小时|倍|层|件套|重)?"
    # materials and makes
    r"|纯棉|全棉|真丝|桑蚕丝|羊毛|羊绒|亚麻|真皮|头层牛皮|牛皮|有机|天然|不锈钢|纯银|纯金|玻璃|陶瓷|竹纤维|涤纶|手工|进口|国产|原产"
    r"|\b(?:cotton|silk|wool|cashmere|linen|leather|organic|natural|stainless|steel|silver|gold|glass|ceramic|bamboo"
    r"|polyester|hand-?made|imported|vegan|recycled)\b"
    # what it does
    r"|防水|防晒|防风|保暖|透气|速干|抗皱|不起球|不褪色|不变形|显瘦|显高|遮肉|美白|保湿|祛痘|去皱|抗衰|减肥|瘦身|治疗|治愈|缓解|排毒|助眠"
    r"|养颜|补水|杀菌|抗菌|无添加|无毒|环保|安全|健康|舒适|舒服|柔软|亲肤|耐用|耐磨|保温"
    r"|\b(?:water-?proof|wind-?proof|breathable|quick-?dry\w*|wrinkle-?free|slimming|flattering|whitening|moisturi[sz]\w+"
    r"|anti-?aging|anti-?bacterial|heal\w*|cure[sd]?|reliev\w+|detox\w*|non-?toxic|eco-?friendly|sustainable|safe|healthy"
    r"|comfort\w*|soft|durable|insulated|warm\w*)\b"
    # superlatives, proofs, offers
    r"|最[好佳优美强低高新热]?|第一(?![张次个天组])|唯一|顶级|极致|完美|100|百分百|绝对|保证|正品|官方|认证|专利|获奖|销量|爆款|热卖|断货|好评|明星同款|网红"
    r"|限时|限量|特价|打折|优惠|包邮|免费|赠|买一送一|秒杀|清仓|降价|性价比|划算|平价|退换"
    r"|\b(?:best|finest|perfect|number one|no\. ?1|unique|premium|luxur\w+|guarantee\w*|official|certified|patented"
    r"|award|best-?sell\w*|sold out|limited|sale|discount|% off|free|bargain|cheap|affordable|value|refund|warranty)\b",
    re.IGNORECASE,
)


def unsupported_claims(text: str, product: str, seen: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what a text claims and the product's text does not say; `seen` are words of what the pictures show."""
    said = "".join((product, *seen)).casefold()
    plain = re.sub(r"\s+", "", said)
    found = dict.fromkeys(" ".join(match.group().split()).casefold() for match in _CLAIMS.finditer(text))
    return tuple(claim for claim in found if re.sub(r"\s+", "", claim) not in plain)


def drop_claims(text: str, product: str, seen: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """Return the text without the sentences that claim what the product's text does not say, and those sentences."""
    dropped = tuple(s for s in split_sentences(text) if unsupported_claims(s, product, seen))
    if not dropped:
        return text.strip(), ()
    lines = []
    for line in text.splitlines():
        kept = [s for s in split_sentences(line) if s not in dropped]
        lines.append((" " if line.isascii() else "").join(kept))
    return "\n".join(line for line in lines if line).strip(), dropped
