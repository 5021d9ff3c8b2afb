"""The scorer against formulas, and on simulated people with a hidden taste. No real person voted here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit

from personas.taste.scorer import COMMENT_SCALE, Pair, Scorer, Vote, fit_scorer, prior_mean, propose

Floats = npt.NDArray[np.float64]
FEATURES = 24


def people(count: int, seed: int = 0) -> list[tuple[Floats, Floats]]:
    """Return (hidden weights, what comments say of them): a few features liked or not, of which comments name most."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        hidden = np.zeros(FEATURES)
        rows = rng.choice(FEATURES, 8, replace=False)
        hidden[rows] = rng.choice([-3.0, -1.5, 1.5, 3.0], 8)
        said = np.zeros(FEATURES)
        said[rows[:6]] = np.sign(hidden[rows[:6]])
        found.append((hidden, said))
    return found


def pictures(count: int, rng: np.random.Generator) -> Floats:
    return (rng.random((count, FEATURES)) < 0.3).astype(np.float64)


def vote(utility: Floats, rng: np.random.Generator) -> list[int]:
    return [1 if rng.random() < chance else -1 for chance in expit(2 * (utility - np.median(utility)))]


def accuracy(scorer: Scorer, hidden: Floats, rng: np.random.Generator) -> float:
    """Of pairs of new pictures, the share that is put in the hidden order."""
    first, second = pictures(400, rng), pictures(400, rng)
    apart = (first - second) @ hidden
    kept = np.abs(apart) > 1e-9
    said = scorer.preferred(first, second)[kept] > 0.5
    return float(np.mean(said == (apart[kept] > 0)))


def trained(votes: int, comments: bool, *, someone_else: bool = False, seed: int = 3) -> float:
    """Return the mean accuracy over 40 people after so many votes and pairs."""
    found, known = [], people(40, seed)
    for number, (hidden, said) in enumerate(known):
        rng = np.random.default_rng([seed, number])
        of = known[(number + 1) % len(known)] if someone_else else (hidden, said)
        shown = pictures(max(2, 2 * votes), rng)
        utility = shown @ of[0]
        answers = [Vote(n, y) for n, y in enumerate(vote(utility, rng)[:votes])]
        pairs = []
        for _ in range(votes):
            a, b = rng.choice(len(shown), 2, replace=False)
            first = rng.random() < expit(2 * (utility[a] - utility[b]))
            pairs.append(Pair(int(a), int(b)) if first else Pair(int(b), int(a)))
        prior = COMMENT_SCALE * of[1] if comments else None
        found.append(accuracy(fit_scorer(shown, answers, pairs, prior), hidden, rng))
    return float(np.mean(found))


def test_without_votes_it_is_what_the_comments_say() -> None:
    prior = prior_mean({"light.dusk": 1.0, "tone.dark": -0.5}, ["tone.dark", "pose.waving", "light.dusk"])
    assert prior.tolist() == [-COMMENT_SCALE / 2, 0.0, COMMENT_SCALE]
    scorer = fit_scorer(np.eye(3), prior=prior)
    assert scorer.order(np.eye(3)) == [2, 1, 0]
    assert scorer.liked(np.eye(3))[1] == 0.5
    assert scorer.spoke(np.array([1.0, 1.0, 1.0]), ["dark", "waving", "dusk"]) == (
        ("dusk", COMMENT_SCALE),
        ("dark", -COMMENT_SCALE / 2),
    )


def test_the_mode_and_its_spread_are_those_of_the_formula() -> None:
    """One feature, one pair: the mode solves w = σ(-w), the curvature there is 1 + σ(w)(1 - σ(w))."""
    scorer = fit_scorer(np.array([[1.0], [0.0]]), pairs=[Pair(0, 1)], spread=1.0, rounds=1)
    weight = scorer.mean[0]
    assert weight == pytest.approx(expit(-weight), abs=1e-4)
    assert scorer.covariance[0, 0] == pytest.approx(1 / (1 + expit(weight) * expit(-weight)), abs=1e-4)
    liked = scorer.preferred(np.array([[1.0]]), np.array([[0.0]]))[0]
    assert liked == pytest.approx(expit(weight / np.sqrt(1 + np.pi * scorer.covariance[0, 0] / 8)))


def test_an_offset_is_no_taste() -> None:
    """Somebody who likes everything has told nothing of what they like more."""
    rng = np.random.default_rng(0)
    shown = pictures(40, rng)
    scorer = fit_scorer(shown, [Vote(n, 1) for n in range(40)])
    assert scorer.offset < -1
    assert np.abs(scorer.mean).max() < 1


def test_comments_and_votes_tell_more_and_more() -> None:
    none = trained(0, comments=True)
    some = trained(8, comments=True)
    many = trained(32, comments=True)
    assert none >= 0.75
    assert some >= none
    assert many >= 0.90
    assert trained(32, comments=False) > trained(8, comments=False)


def test_somebody_elses_votes_tell_nothing() -> None:
    assert 0.42 <= trained(32, comments=True, someone_else=True) <= 0.58


def test_how_likely_is_as_often_as_it_says() -> None:
    """People whose weights are as the prior says: of all that is called 70% likely, 70% are liked."""
    rng, said, happened = np.random.default_rng(5), list[float](), list[bool]()
    for _ in range(150):
        hidden = rng.normal(size=FEATURES)
        shown, new = pictures(24, rng), pictures(40, rng)
        pairs = []
        for n in range(0, 24, 2):
            first = rng.random() < expit((shown[n] - shown[n + 1]) @ hidden)
            pairs.append(Pair(n, n + 1) if first else Pair(n + 1, n))
        chances = fit_scorer(shown, pairs=pairs, spread=1.0, rounds=1).preferred(new[:20], new[20:])
        said += chances.tolist()
        happened += (rng.random(20) < expit((new[:20] - new[20:]) @ hidden)).tolist()
    chances, came = np.array(said), np.array(happened)
    bins = np.clip((chances * 10).astype(int), 0, 9)
    errors = [abs(chances[bins == b].mean() - came[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist())]
    assert sum(errors) <= 0.06


def test_what_is_asked_next_tells_more_than_what_comes_by_chance() -> None:
    gained = []
    for number, (hidden, _) in enumerate(people(80, 9)):
        rng = np.random.default_rng([9, number])
        shown = pictures(200, rng)
        answers = vote(shown @ hidden, rng)
        rows = propose(fit_scorer(shown), shown, 16, number)
        assert len(set(rows)) == 16
        asked, chance = (
            accuracy(fit_scorer(shown, [Vote(r, answers[r]) for r in chosen]), hidden, np.random.default_rng(number))
            for chosen in (rows, rng.choice(200, 16, replace=False).tolist())
        )
        gained.append(asked - chance)
    assert np.mean(gained) > np.std(gained) / np.sqrt(len(gained))
    with pytest.raises(ValueError, match="count"):
        propose(Scorer(np.zeros(2), np.eye(2)), np.eye(2), 3)
