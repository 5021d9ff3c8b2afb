"""Every error that can be raised has a sentence, in both languages, with exactly the fields that it is raised with."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from pipelines import errors
from pipelines.errors import BadInput, BadLora, StudioError
from studio.texts.errors import error_table, say_error
from studio.texts.texts import LANGUAGES, Texts

ROOT = Path(__file__).resolve().parents[3]
KINDS = {n for n in errors.__all__ if isinstance(k := getattr(errors, n), type) and issubclass(k, StudioError)}


def raise_sites() -> Iterator[tuple[str, str | None, set[str]]]:
    """Yield (place, code, names of the fields) of every error that is made in the packages; code None: no literal."""
    kinds = set(KINDS)
    trees = {}
    for package in ("pipelines", "personas", "studio"):
        for path in sorted((ROOT / package).rglob("*.py")):
            trees[path] = ast.parse(path.read_text(encoding="utf-8"))
    for tree in trees.values():  # subclasses defined elsewhere
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id in kinds for b in node.bases):
                kinds.add(node.name)
    for path, tree in trees.items():
        if path == ROOT / "pipelines" / "errors.py":
            continue
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds):
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            first = node.args[0] if len(node.args) == 1 else None
            code = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
            yield place, code, {k.arg or "**" for k in node.keywords}


def fields_of(sentence: str) -> set[str]:
    """Return the names of the fields that a sentence mentions."""
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_every_raise_site_has_its_sentence_and_every_sentence_its_raise_site() -> None:
    table, wrong, raised = error_table(), [], set()
    for place, code, fields in raise_sites():
        if code is None:
            wrong.append(f"{place}: the code is no literal")
            continue
        raised.add(code)
        if code not in table:
            wrong.append(f"{place}: {code} has no sentence")
            continue
        said = {f for row in table[code].values() for text in row.values() for f in fields_of(text)}
        if "**" not in fields and (lacks := said - fields):
            wrong.append(f"{place}: {code} is said with {sorted(lacks)}, which it is not raised with")
    wrong += [f"{code} is never raised" for code in sorted(table.keys() - raised)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("code", sorted(error_table()))
def test_a_row_says_the_same_in_both_languages(code: str) -> None:
    row = error_table()[code]
    assert set(row) == set(LANGUAGES)
    fields = [sorted(f for text in row[language].values() for f in fields_of(text)) for language in LANGUAGES]
    assert set(fields[0]) == set(fields[1])
    assert all(row[language]["message"].strip() for language in LANGUAGES)
    assert any("\u4e00" <= sign <= "\u9fff" for sign in row["zh"]["message"])
    assert " --" not in row["en"]["message"]  # commands belong to the advice of the edge, if anywhere


def test_an_error_in_an_error_is_said_in_the_same_language() -> None:
    cause = BadLora("no_known_lora", file="x.safetensors", known=["FLUX.1"])
    for language in LANGUAGES:
        inner = say_error(cause, Texts(language))[0]
        assert "x.safetensors" in inner
        assert "no_known_lora" not in inner
    assert isinstance(cause, BadInput)
