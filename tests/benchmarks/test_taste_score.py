"""The measurement of tastes: simulated users, what is read of them, and the names of its scores. Nothing is drawn."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import taste_users
from benchmarks.statistics import clustered_score
from benchmarks.taste_pictures import LEAST_OPEN, PROMPTS, Seen, asked_of, liked_words
from benchmarks.taste_reading import COMMENTS, Heard, listen, parser_scores
from benchmarks.taste_score import ALSO, TARGETS, best_of, less, shown_groups, stated_kept
from benchmarks.taste_scorer import scorer_scores
from benchmarks.taste_users import choose, invent_users, repeating_scale
from personas.shots import WORDS, vary_shots
from personas.taste.attributes import load_attributes
from personas.taste.seen import PIXELS, words_of

NAMED = {
    "parser_f1", "polarity", "zh_gap", "invented", "hidden_f1", "preferred", "preferred_mismatched", "stated_cost",
    "identity_cost", "variety", "scorer_0", "scorer_8", "scorer_32", "scorer_mismatched", "unchanged",
    "viper_preferred", "words_preferred",
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
    told, more = scorer_scores(users, heard, plain, scale, 5)
    untold, _ = scorer_scores(users, silent, plain, scale, 5)
    assert told["scorer_0"].value > 0.7 > 0.6 > untold["scorer_0"].value
    assert told["scorer_32"].value > told["scorer_0"].value - 0.01
    assert told["scorer_mismatched"].value < 0.62
    assert told["scorer_0"].n == len(users)
    assert more["  scorer_0, where words decide"].value > 0.6


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


def test_numbers_of_one_user_are_resampled_together_and_all_named_scores_are_written() -> None:
    alike = clustered_score([[1.0] * 50, [0.0] * 50] * 5)  # ten units, not five hundred
    assert (alike.value, alike.n) == (0.5, 10)
    assert alike.high - alike.low > 0.4
    assert clustered_score([[1.0, 1.0, 1.0], [0.0], []]).value == 0.75
    assert clustered_score([[]]).n == 0
    assert {*TARGETS, *ALSO} == NAMED


def test_comments_are_on_other_groups_of_the_first_half() -> None:
    for groups in (4, 10, 20):
        for own in range(groups):
            shown = shown_groups(own, groups)
            assert shown
            assert own not in shown
            assert max(shown) < groups // 2
    assert len(set(shown_groups(3, 20))) == 3


def test_a_picture_of_which_nothing_was_said_counts_for_no_cost() -> None:
    asked = [replace(one, open=opened) for one, opened in zip(asked_of(0, 1), ((), tuple(WORDS)), strict=False)]
    shots = [one.shot for one in asked]
    right = [Seen(np.zeros((4, 4, 3), np.uint8), asdict(shot), {}, {}, None) for shot in shots]
    wrong = [replace(right[0], read={**right[0].read, "light": "another"}), right[1]]
    kept = stated_kept(asked, shots, right)
    assert kept[0] == 1.0
    assert np.isnan(kept[1])
    assert less(stated_kept(asked, shots, wrong), kept) == [pytest.approx(-1 / len(WORDS))]


def test_the_best_of_some_is_the_one_that_comments_lead_to() -> None:
    drawn = [seen(6, number) for number in (1, 2, 3)]
    best = best_of(drawn, {"tone.bright": 1.0})
    for n, one in enumerate(best):
        assert one.known["tone.bright"] == max(rows[n].known["tone.bright"] for rows in drawn)


def test_nothing_held_out_stands_among_what_was_built_with() -> None:
    told = json.loads((Path(taste_users.__file__).parent / "taste_wording.json").read_text(encoding="utf-8"))

    def said(author: str) -> set[str]:
        names = {
            n
            for kind in ("things", "qualities")
            for row in told[author][kind].values()
            for x in row.values()
            for n in x
        }
        return names | {s for kinds in told[author]["templates"].values() for rows in kinds.values() for s in rows}

    assert said("building") & said("held_out") == set()
    assert len(said("held_out")) > 200
