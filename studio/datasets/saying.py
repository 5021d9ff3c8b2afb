"""What is said of a data set in people's words: reasons, holes, and what is wrong with captions."""

from __future__ import annotations

from personas.captions.lint import Finding
from personas.datasets.coverage import Hole
from personas.datasets.verdicts import Reason
from studio.domain.dataset import DataSet
from studio.texts.texts import Texts

__all__ = ["say_finding", "say_hole", "say_reason", "say_words"]


def say_reason(t: Texts, reason: Reason, dataset: DataSet) -> str:
    """Return what is held against a picture, such as "too dark"; of a copy, whose."""
    said = t(f"dataset.reason.{reason.name}")
    if reason.name == "copy":
        return f"{said}: {dataset.request.pictures[int(reason.value)].name}"
    return said


def say_hole(t: Texts, hole: Hole) -> str:
    """Return what no picture shows, or nearly all do."""
    words = say_words(t, hole.word) if hole.kind == "one_outfit" else t.word(hole.word)
    return t(f"dataset.hole.{hole.kind}", word=words, count=hole.count, wanted=hole.wanted)


def say_words(t: Texts, words: str) -> str:
    """Return words of the vocabulary one after the other, such as a colour and a garment."""
    return (" " if t.language == "en" else "").join(map(t.word, words.split()))


def say_finding(t: Texts, finding: Finding) -> str:
    """Return what is wrong with captions."""
    return t(f"dataset.finding.{finding.code}", phrase=finding.phrase)
