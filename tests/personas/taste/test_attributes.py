"""The vocabulary of taste: whole in both languages, and tied to what the studio draws."""

from __future__ import annotations

from collections import defaultdict
from typing import get_args

import pytest

from personas.shots import FREE, WORDS
from personas.taste.attributes import Acts, Language, load_attributes
from personas.taste.tokens import opinion_words
from studio.domain.posts import SetSettings

LANGUAGES = get_args(Language)


def test_there_are_fourteen_fields_and_enough_values() -> None:
    told = load_attributes()
    assert len(told.fields) == 14
    assert 160 <= len(told.by_id) <= 200
    assert {value.acts for value in told.by_id.values()} == {*get_args(Acts)}


def test_every_value_has_names_and_words_in_both_languages() -> None:
    for value in load_attributes().by_id.values():
        for language in LANGUAGES:
            assert value.names[language].strip(), value.id
            assert value.said[language], value.id
            for word in (*value.said[language], *value.faults[language]):
                assert word == word.strip().casefold(), (value.id, word)
                assert word.isascii() or language == "zh" or word == "café", (value.id, word)


def test_every_word_of_a_shot_can_be_liked_and_every_clause_is_one() -> None:
    told = load_attributes()
    for field, words in WORDS.items():
        shown = {word for value in told.fields[field].values.values() if len(value.shot) == 1 for word in value.shot}
        assert shown == {*words}, field
    for value in told.by_id.values():
        assert {*value.shot} <= {*WORDS.get(value.field, ())}, value.id
        assert bool(value.shot) == (value.acts == "clause"), value.id
        assert bool(value.words) == (value.acts == "words"), value.id
        if value.acts == "words" and value.field in FREE:
            assert value.words.isascii()


def test_what_a_dial_moves_is_a_number_of_the_drawing() -> None:
    dials = {value.dial for value in load_attributes().by_id.values() if value.acts == "dial"}
    assert dials <= SetSettings.model_fields.keys()
    assert dials


def test_opposites_exclude_each_other() -> None:
    told = load_attributes()
    for value in told.by_id.values():
        if value.opposite:
            assert told.by_id[value.opposite].opposite == value.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_word_of_two_values_has_a_rule(language: Language) -> None:
    told, of = load_attributes(), defaultdict(set)
    for value in told.by_id.values():
        for word in (*value.said[language], *value.faults[language]):
            of[word].add(value.id)
    several = {word: ids for word, ids in of.items() if len(ids) > 1}
    assert several == {word: {*ids} for word, ids in told.shared[language].items()}
    for word, ids in told.shared[language].items():
        assert len({one.partition(".")[0] for one in ids}) == len(ids), word  # an aspect tells which is meant


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_of_two_kinds(language: Language) -> None:
    told, of = load_attributes(), defaultdict(list)
    for kind, row in opinion_words().items():
        for word in row[language]:
            of[word].append(kind)
    for value in told.by_id.values():
        for word in {*value.said[language], *value.faults[language]} - told.shared[language].keys():
            of[word].append(value.id)
    for word in {word for field in told.fields.values() for word in field.aspects[language]}:
        of[word].append("aspect")
    assert {word: kinds for word, kinds in of.items() if len(kinds) > 1} == {}
    for word, ends in told.dimensions[language].items():
        assert {*ends} <= told.by_id.keys()
        assert not {"high", "low"} & {*of[word]}
