"""The measurement of tastes: simulated users, what is read of them, and the names of its scores. Nothing is drawn."""

from __future__ import annotations

import random
from dataclasses import asdict

import numpy as np

from benchmarks.statistics import share_score
from benchmarks.taste_pictures import LEAST_OPEN, PROMPTS, Seen, asked_of, liked_words
from benchmarks.taste_reading import COMMENTS, Heard, listen, parser_scores
from benchmarks.taste_score import TARGETS
from benchmarks.taste_scorer import scorer_scores
from benchmarks.taste_users import choose, invent_users, repeating_scale
from personas.shots import WORDS, vary_shots
from personas.taste.attributes import load_attributes
from personas.taste.seen import PIXELS, words_of

NAMED = {
    "parser_f1", "polarity", "zh_gap", "invented", "hidden_f1", "preferred", "preferred_mismatched", "stated_cost",
    "identity_cost", "variety", "scorer_0", "scorer_8", "scorer_32", "scorer_mismatched",
}  # fmt: skip


def seen(count: int, seed: int) -> list[Seen]:
    """Pictures that show exactly what was asked for, and pixels by chance."""
    rng, found = np.random.default_rng(seed), []
    for shot in vary_shots(count, seed):
        shown = words_of(asdict(shot)) | {name: float(rng.random()) for name in PIXELS}
        found.append(Seen(np.zeros((4, 4, 3), np.uint8), asdict(shot), shown, shown, None))
    return found


def test_users_are_the_same_by_their_seed_and_like_no_two_opposites() -> None:
    users = invent_users(40, 3)
    assert users == invent_users(40, 3)
    assert users != invent_users(40, 4)
    known = load_attributes().by_id
    for user in users:
        assert 3 <= sum(weight > 0 for weight in user.weights.values()) <= 6
        assert 2 <= sum(weight < 0 for weight in user.weights.values()) <= 5
        assert not {known[one].opposite for one in user.weights} & set(user.weights)


def test_a_user_repeats_itself_in_93_of_100() -> None:
    users, pictures = invent_users(20, 3), seen(60, 1)
    shown = [one.shown for one in pictures]
    scale, rng = repeating_scale(users, shown, 1), random.Random(1)
    same = [
        choose(user, a, b, scale, rng) == choose(user, a, b, scale, rng)
        for user in users
        for a, b in (rng.sample(shown, 2) for _ in range(200))
    ]
    assert abs(np.mean(same) - 0.93) < 0.02


def test_what_users_say_is_mostly_read_and_tells_the_order_of_new_pictures() -> None:
    users = invent_users(16, 5)
    plain = [seen(10, 100 + group) for group in range(8)]
    heard = [listen(user, [one for rows in plain[:4] for one in rows], 5) for user in users]
    scores, _ = parser_scores(users, heard)
    assert all(len(one.rows) == COMMENTS for one in heard)
    assert scores["hidden_f1"].value > 0.65
    assert scores["parser_f1"].low <= scores["parser_f1"].value <= scores["parser_f1"].high
    silent = [Heard(one.rows, {}) for one in heard]
    scale = repeating_scale(users, [one.shown for rows in plain for one in rows], 5)
    told, _ = scorer_scores(users, heard, plain, scale, 5)
    untold, _ = scorer_scores(users, silent, plain, scale, 5)
    assert told["scorer_0"].value > 0.7 > 0.6 > untold["scorer_0"].value
    assert told["scorer_32"].value > told["scorer_0"].value - 0.01
    assert told["scorer_mismatched"].value < 0.62


def test_prompts_leave_two_fields_open_or_more() -> None:
    asked = asked_of(3, 1)
    assert len(asked) == PROMPTS
    for one in asked:
        assert LEAST_OPEN <= len(one.open) <= len(WORDS)
        assert set(one.open) | set(one.stated) == set(WORDS)
    assert asked == asked_of(3, 1) != asked_of(4, 1)


def test_liked_words_are_those_of_a_prompt() -> None:
    weights = {"setting.beach": 1.0, "light.night": -1.0, "tone.warm": 0.5, "outfit_colour.red": 0.75}
    assert liked_words(weights, 1) == "on a beach, red clothes, warm tones"
    assert liked_words(weights, -1) == "at night"


def test_shares_have_wilsons_interval_and_all_named_scores_have_a_target() -> None:
    score = share_score([1.0] * 8 + [0.0] * 2)
    assert (round(score.low, 3), round(score.high, 3)) == (0.490, 0.943)  # Wilson 1927, as statsmodels gives it
    assert set(TARGETS) == NAMED
