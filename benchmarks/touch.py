"""How many files one more row of a table touches: `python -m benchmarks.touch --out OUT`.

In a copy of the checkout a dummy row is added to one table after the other, by an edit of as few files as it takes; the
tests over that table must then see it in the texts, the API, the command line and a page, and the edit is undone.
Writes OUT/touch.json, {table: files touched}. Ends with 1 where a test fails, where a surface was not looked at, or
where more than two files were needed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

__all__ = ["DUMMIES", "DUMMY", "Dummy", "Line", "apply", "copy_checkout", "main", "seen_in", "undo"]

ROOT = Path(__file__).resolve().parents[1]
DUMMY = "touch_dummy"
SURFACES = ("test_words", "test_api", "test_command_line", "test_page")
MOST_FILES = 2
_TEXTS = "studio/texts/texts.json"


@dataclass(frozen=True)
class Line:
    """Text that is put into a file after its first line that starts with `after`; into a new file where that is ""."""

    file: str
    after: str
    text: str


@dataclass(frozen=True)
class Dummy:
    """One more row of a table: the `lines` that add it, and the `tests` (files or node ids) that look at the table.

    The first of `tests` has a test of each name in SURFACES with the row's name among its parameters.
    """

    table: str
    lines: tuple[Line, ...]
    tests: tuple[str, ...]

    @property
    def files(self) -> int:
        """Return how many files the row touches."""
        return len({line.file for line in self.lines})


def _words(*keys: str) -> Line:
    rows = [f' "{key}": {{"en": "Dummy of {key}", "zh": "占位 {key}"}},\n' for key in keys]
    return Line(_TEXTS, "{", "".join(rows))


_PLATFORM = {
    "id": DUMMY, "name_en": "Dummy shop", "name_zh": "占位商店", "width": 600, "height": 800, "min_pictures": 1,
    "max_pictures": 9, "usual_pictures": 3, "format": "JPEG", "max_bytes": 1000000, "max_title": 0, "max_body": 0,
    "embeds_recipe": False, "source": "benchmarks.touch", "date": "2026-01-01",
}  # fmt: skip
_FAMILY = f'''"""A dummy family: folders of a class of its own, with FLUX.1's parts."""

from dataclasses import dataclass, replace

from pipelines.families.flux1.facts import FLUX1, Flux1
from pipelines.families.protocol import Variant, Verdict
from pipelines.families.spellings import LoraWords


@dataclass(frozen=True)
class Dummy(Flux1):
    """Nobody's family."""

    id: str = "{DUMMY}"
    name: str = "Dummy family"
    pipelines: tuple[str, ...] = ("TouchDummyPipeline",)
    lora_words: LoraWords = replace(FLUX1.lora_words, read=())

    def detect_folder(self, index, transformer):
        if index.get("_class_name") not in self.pipelines:
            return None
        return Variant(id="Dummy-1", family=self.id, licence="apache-2.0")

    def detect_file(self, shapes):
        return None

    def lora_fits(self, shapes, metadata, width=0):
        return Verdict("unknown")
'''
_REFERENCE = f'''"""A dummy kind of reference: it shows nothing."""

from dataclasses import dataclass

from pipelines.references.protocol import Reference


@dataclass(frozen=True, eq=False)
class DummyReference(Reference):
    """Never in the way of anything."""

    kind = "{DUMMY}"

    @classmethod
    def show(cls, image, scale):
        return cls()

    def key(self):
        return ()

    def encode(self, backbone):
        return None

    @staticmethod
    def extend(conditions, references, encoded):
        return
'''
_MEASURE = f'''"""A dummy measure: every picture is worth a half."""

from personas.measures.measure import Measure


def half(subject):
    """Return 0.5."""
    return 0.5


DUMMY = Measure(
    "{DUMMY}", frozenset({{"picture"}}), half, words={{"en": "halfness", "zh": "一半"}},
    on_candidates=True, on_posts=True,
)
'''
_JOB = f'''"""A dummy kind of job: it repeats a word."""

from typing import ClassVar

from studio.domain.job_title import JobTitle
from studio.domain.values import Request, Result


class EchoRequest(Request):
    """A request of the dummy kind: the text to repeat."""

    word: str = "dummy"


class Echo(Result):
    """A result of the dummy kind: the repeated text."""

    kind: ClassVar[str] = "{DUMMY}"

    said: str


def title_echo(request):
    """Say which word."""
    return JobTitle(who=request.word)


def echo(studio, request, run, progress):
    """Repeat it, as a step that is done once."""
    return Echo(id="echo", said=run("say", lambda: request.word))
'''
_JOB_ROW = f'''    Kind(
        "{DUMMY}", EchoRequest, Echo, "studio.workflows.{DUMMY}:echo", "", {{"en": "Dummy echo", "zh": "占位回声"}},
        title_echo, draws=False,
    ),
'''
# The first kind that a backbone has is what a form begins with: a new one stands last, and wants what not all have.
_REFERENCE_ROW = f'''REFERENCES = (*REFERENCES, ReferenceKind(
    "{DUMMY}", "show", "pipelines.references.{DUMMY}", ("DummyReference",), needs=("redux",),
    words={{
        "en": Words("Dummy reference", "Shows nothing.", "nobody's"), "zh": Words("占位参考", "什么都不展示。", "无"),
    }},
))
'''
DUMMIES: tuple[Dummy, ...] = (
    Dummy(
        "gate",
        (
            Line(
                "personas/gates.py",
                "GATES: ",
                f'    Gate("{DUMMY}", measure="sharpness", threshold="min_{DUMMY}", default=0.0, slider=_SHARE),\n',
            ),
            _words(f"word.{DUMMY}", f"word.min_{DUMMY}"),
        ),
        ("tests/tables/test_gates_table.py", "tests/personas/test_gates.py::test_rows_are_whole"),
    ),
    Dummy(
        "measure",
        (
            Line(f"personas/measures/{DUMMY}.py", "", _MEASURE),
            Line(
                "personas/measures/catalogue.py",
                "from personas.measures.subject",
                f"from personas.measures.{DUMMY} import DUMMY\n",
            ),
            Line("personas/measures/catalogue.py", "MEASURES: ", "    DUMMY,\n"),
        ),
        ("tests/tables/test_measures_table.py",),
    ),
    Dummy(
        "platform",
        (Line("assets/platforms.json", "[", f"  {json.dumps(_PLATFORM, ensure_ascii=False)},\n"),),
        ("tests/tables/test_platforms_table.py",),
    ),
    Dummy(
        "family",
        (
            Line(f"pipelines/families/{DUMMY}.py", "", _FAMILY),
            Line(
                "pipelines/families/catalogue.py",
                "from pipelines.families.flux1",
                f"from pipelines.families.{DUMMY} import Dummy\n",
            ),
            Line("pipelines/families/catalogue.py", "FAMILIES: ", "FAMILIES = (*FAMILIES, Dummy())\n"),
        ),
        ("tests/tables/test_families_table.py",),
    ),
    Dummy(
        "reference",
        (
            Line(f"pipelines/references/{DUMMY}.py", "", _REFERENCE),
            Line("pipelines/references/catalogue.py", ")  # fmt: skip", _REFERENCE_ROW),
        ),
        ("tests/tables/test_references_table.py", "tests/studio/ui/test_set_form.py"),
    ),
    Dummy(
        "job kind",
        (
            Line(f"studio/workflows/{DUMMY}.py", "", _JOB),
            Line(
                "studio/jobs/kinds.py",
                "from studio.domain.values",
                f"from studio.workflows.{DUMMY} import Echo, EchoRequest, title_echo\n",
            ),
            Line("studio/jobs/kinds.py", "_ROWS = (", _JOB_ROW),
        ),
        (
            "tests/tables/test_kinds_table.py",
            "tests/studio/web/test_same_everywhere.py",
        ),
    ),
)


def copy_checkout(root: Path, to: Path) -> None:
    """Copy what git tracks or would track, as it lies there now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)


def apply(root: Path, lines: Sequence[Line]) -> dict[str, str | None]:
    """Put the lines into their files, and return what these held before (None: nothing, there was no file).

    Raises ValueError for a line whose place is not there, or a new file that is there already; nothing is changed then.
    """
    before: dict[str, str | None] = {}
    after: dict[str, str] = {}
    for line in lines:
        path = root / line.file
        if line.file not in before:
            before[line.file] = path.read_text(encoding="utf-8") if path.exists() else None
        known = after.get(line.file, before[line.file])
        if not line.after:
            if known is not None:
                raise ValueError(f"{line.file} is there already")
            after[line.file] = line.text
            continue
        rows = (known or "").splitlines(keepends=True)
        place = next((i for i, row in enumerate(rows) if row.startswith(line.after)), None)
        if place is None:
            raise ValueError(f"{line.file} has no line that starts with {line.after!r}")
        after[line.file] = "".join([*rows[: place + 1], line.text, *rows[place + 1 :]])
    for name, text in after.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return before


def undo(root: Path, before: Mapping[str, str | None]) -> None:
    """Give the files back what `apply` says they held."""
    for name, text in before.items():
        if text is None:
            (root / name).unlink()
        else:
            (root / name).write_text(text, encoding="utf-8")


def seen_in(report: Path) -> frozenset[str]:
    """Return the names of those tests in pytest's JUnit report that passed with the dummy among their parameters."""
    passed = (case for case in ElementTree.parse(report).getroot().iter("testcase") if len(case) == 0)
    names = (case.get("name", "") for case in passed)
    return frozenset(name.partition("[")[0] for name in names if DUMMY in name.partition("[")[2])


def _missing(root: Path, dummy: Dummy) -> list[str]:
    """Run the tests in the copy; return what is wrong: failing tests, and surfaces where the row was not looked for."""
    report = root / "touch-report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *dummy.tests]
    # the copy's packages, whatever the interpreter has installed
    done = subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], file=sys.stderr)
        return [f"pytest ends with {done.returncode}"]
    seen = seen_in(report)
    report.unlink()
    return [f"{surface} does not look at it" for surface in SURFACES if surface not in seen]


def main() -> None:
    """Add every dummy, count, and write OUT/touch.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--tables", nargs="*", default=[dummy.table for dummy in DUMMIES], help="only these")
    args = parser.parse_args()
    out: Path = args.out
    chosen = [dummy for dummy in DUMMIES if dummy.table in args.tables]
    out.mkdir(parents=True, exist_ok=True)
    wrong = {}
    with TemporaryDirectory(prefix="touch-") as folder:
        root = Path(folder)
        copy_checkout(ROOT, root)
        for dummy in chosen:
            before = apply(root, dummy.lines)
            found = _missing(root, dummy)
            undo(root, before)
            if dummy.files > MOST_FILES:
                found.append(f"it touches more than {MOST_FILES} files")
            if found:
                wrong[dummy.table] = found
            print(f"{dummy.table}: {dummy.files} files ({', '.join(before)}) {'; '.join(found) or 'seen everywhere'}")
    counts = {dummy.table: dummy.files for dummy in chosen}
    (out / "touch.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
