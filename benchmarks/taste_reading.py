"""What is read in simulated users' comments, and how much of their hidden taste that finds.

A user is shown eight pictures, those that tell most (`personas.taste.scorer.propose`), and says something of each.
Where the reader asks back, the user answers with the chips that are shown: what they meant, if it is among them.

`python -m benchmarks.taste_reading` reads comments on imagined pictures: nothing is drawn, and it takes a minute. What
was not read is listed for the wording to build with alone: nobody is to mend what the held-out wording fails on.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from benchmarks.statistics import Score, bootstrap, clustered_score
from benchmarks.taste_pictures import Seen
from benchmarks.taste_users import Author, Spoken, User, invent_users
from personas.shots import vary_shots
from personas.taste.attributes import load_attributes
from personas.taste.comments import read_comment
from personas.taste.reading import Question
from personas.taste.scorer import ASK_SCALE, ASK_SPREAD, fit_scorer, prior_mean, propose
from personas.taste.seen import PIXELS, SEEN, as_features, words_of
from studio.domain.taste import Edited, Event, Said, SaidItem, Taste, join_tastes

__all__ = ["COMMENTS", "Heard", "Row", "listen", "parser_scores"]

COMMENTS = 8
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """A comment, and what was read in it before anything was asked."""

    spoken: Spoken
    read: frozenset[str]


@dataclass(frozen=True)
class Heard:
    """What follows from a user's comments: `weights` by attribute, as a taste keeps them."""

    rows: tuple[Row, ...]
    weights: dict[str, float]


def listen(user: User, pictures: Sequence[Seen], seed: int, author: Author = "held_out") -> Heard:
    """Return what eight comments tell; each next picture is chosen after what was said before."""
    rng = random.Random(f"{seed} comments {user.number}")
    pool = list(pictures)
    features = as_features([one.known for one in pool])
    said, events, rows, left = set[str](), list[Event](), list[Row](), list(range(len(pool)))
    for number in range(COMMENTS):
        scorer = fit_scorer(features, prior=prior_mean(_weights(events), SEEN, ASK_SCALE), spread=ASK_SPREAD)
        at = left.pop(propose(scorer, features[left], 1 if number == COMMENTS - 1 else 2, number)[0])
        spoken = user.speak(pool[at].shown, said, rng, author)
        reading = read_comment(spoken.text)
        read = frozenset(f"{'+' if item.weight > 0 else '-'}{item.attribute}" for item in reading.items)
        rows.append(Row(spoken, read))
        items = tuple(SaidItem(attribute=i.attribute, weight=i.weight, quote="") for i in reading.items)
        events.append(Said.make(id=f"said-{number:04d}", at=_NOW, text=spoken.text, items=items))
        if reading.question is not None:
            events += _answers(spoken, reading.question, number)
    return Heard(tuple(rows), _weights(events))


def _answers(spoken: Spoken, question: Question, number: int) -> list[Event]:
    """Return the taps on chips: an attribute's, or a field's and then the attribute's that was meant."""
    known = load_attributes()
    chips = set(question.chips)
    reached = chips | {
        v for chip in chips if chip in known.fields for v in (f"{chip}.{n}" for n in known.fields[chip].values)
    }
    return [
        Edited.make(
            id=f"tap-{number:04d}-{one[1:]}"[:60], at=_NOW, attribute=one[1:], weight=1.0 if one[0] == "+" else -1.0
        )
        for one in sorted(spoken.means)
        if one[1:] in reached
    ]


def _weights(events: Sequence[Event]) -> dict[str, float]:
    return dict(join_tastes([Taste.make(events=tuple(events))]))


def parser_scores(users: Sequence[User], heard: Sequence[Heard]) -> tuple[dict[str, Score], dict[str, Score]]:
    """Items of comments before anything is asked, by user; and hidden tastes after eight comments."""
    by_language: dict[str, list[list[Row]]] = defaultdict(list)
    for user, one in zip(users, heard, strict=True):
        by_language[user.language].append(list(one.rows))
    both = [rows for found in by_language.values() for rows in found]

    def of_language(language: str) -> Score:
        rows = by_language[language]
        return bootstrap(len(rows), lambda index: _f1([row for n in index for row in rows[n]]))

    least = min(len(by_language["zh"]), len(by_language["en"]))

    def gap(index: NDArray[np.int64]) -> float:
        pair = ([r for n in index for r in by_language[x][n]] for x in ("zh", "en"))
        first, second = (_f1(rows) for rows in pair)
        return abs(first - second)

    found = [[(t, row) for row in rows for t in row.read] for rows in both]
    meant = [[bool({f"+{t[1:]}", f"-{t[1:]}"} & row.spoken.means) for t, row in rows] for rows in found]
    signs = [
        [float(t in row.spoken.means) for (t, row), known in zip(rows, told, strict=True) if known]
        for rows, told in zip(found, meant, strict=True)
    ]
    hidden = [_hidden(user, one) for user, one in zip(users, heard, strict=True)]
    scores = {
        "parser_f1": bootstrap(len(both), lambda i: _f1([r for n in i for r in both[n]])),
        "polarity": clustered_score(signs),
        "zh_gap": bootstrap(least, gap),
        "invented": clustered_score([[float(not known) for known in told] for told in meant]),
        "hidden_f1": bootstrap(len(hidden), lambda i: _f1_of([hidden[n] for n in i])),
    }
    return scores, {"  parser_f1, Chinese": of_language("zh"), "  parser_f1, English": of_language("en")}


def _f1(rows: Sequence[Row]) -> float:
    return _f1_of([(len(row.read & row.spoken.means), len(row.read), len(row.spoken.means)) for row in rows])


def _hidden(user: User, heard: Heard) -> tuple[int, int, int]:
    told = {f"{'+' if weight > 0 else '-'}{one}" for one, weight in heard.weights.items()}
    return len(told & user.signs), len(told), len(user.signs)


def _f1_of(counts: Sequence[tuple[int, int, int]]) -> float:
    right, said, wanted = (sum(row[k] for row in counts) for k in range(3))
    return 2 * right / max(1, said + wanted)


def _imagined(count: int, seed: int) -> list[Seen]:
    """Return pictures that nobody drew: each shows the words of a shot, and of pixels anything."""
    rng, known, found = np.random.default_rng(seed), load_attributes().by_id, list[Seen]()
    for shot in vary_shots(count, seed):
        pixels: dict[str, float] = {}
        for one in PIXELS:
            pixels[one] = 1 - pixels[known[one].opposite] if known[one].opposite in pixels else float(rng.random())
        shown = words_of(asdict(shot)) | pixels
        found.append(Seen(np.zeros((1, 1, 3), np.uint8), asdict(shot), shown, shown, None))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--author", choices=("building", "held_out"), default="building")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of other people than those of the measurement")
    args = parser.parse_args()
    users, pictures = invent_users(args.users, args.seed), _imagined(120, args.seed)
    heard = [listen(user, pictures, args.seed, args.author) for user in users]
    scores, more = parser_scores(users, heard)
    if args.author == "building":
        failed = Counter(
            f"{row.spoken.text!r}: read {sorted(row.read)}, meant {sorted(row.spoken.means)}"
            for one in heard
            for row in one.rows
            if row.read != row.spoken.means
        )
        print("\n".join(failed))
    for name, score in (scores | more).items():
        print(f"{name:24} {score.value:.3f} ({score.low:.3f} to {score.high:.3f}, n {score.n})")


if __name__ == "__main__":
    main()
