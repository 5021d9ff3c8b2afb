"""Files by content and records by owner."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from pipelines.errors import BadInput
from studio.library.records import DonorRecord, PersonaRecord, Records, content_id
from studio.library.store import Store
from studio.settings import Settings
from tests.stored import place_in


def test_a_key_is_the_contents_hash_and_nothing_is_written_twice(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = store.put(b"hello")
    assert key == hashlib.sha256(b"hello").hexdigest()
    written = place_in(store, key).stat().st_ino
    assert store.put(b"hello") == key
    assert place_in(store, key).stat().st_ino == written
    assert store.get(key) == b"hello"


def test_pictures_come_back_to_the_bit(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    store = Store(tmp_path)
    np.testing.assert_array_equal(store.get_picture(store.put_picture(image)), image)


def test_damage_and_absence_are_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = store.put(b"hello")
    place_in(store, key).write_bytes(b"hellO")
    with pytest.raises(BadInput, match="stored_file_damaged"):
        store.get(key)
    with pytest.raises(BadInput, match="stored_file_missing"):
        store.get("0" * 64)


def _persona(owner: str, version: int) -> PersonaRecord:
    return PersonaRecord(
        id=f"p{version}", owner=owner, name="Mei", version=version, design="d", lora="l", facts={"v": version}
    )


def test_owners_do_not_see_each_other(tmp_path: Path) -> None:
    records = Records(tmp_path / "a.sqlite")
    records.keep(_persona("ann", 1), _persona("ann", 2), _persona("bob", 1))
    assert [p.version for p in records.find(PersonaRecord, "ann", name="Mei")] == [1, 2]
    assert [p.owner for p in records.find(PersonaRecord, "bob")] == ["bob"]
    assert records.get(PersonaRecord, "p2", "bob") is None
    assert records.find(PersonaRecord, "eve") == []


def test_keeping_twice_updates(tmp_path: Path) -> None:
    records = Records(tmp_path / "a.sqlite")
    records.keep(_persona("ann", 1))
    changed = _persona("ann", 1)
    changed.lora = "other"
    records.keep(changed)
    assert [p.lora for p in records.find(PersonaRecord, "ann")] == ["other"]


def test_keeping_the_same_at_once_is_no_error(tmp_path: Path) -> None:
    records = Records(tmp_path / "a.sqlite")
    for version in range(20):
        with ThreadPoolExecutor(4) as hands:
            list(hands.map(lambda _, v=version: records.keep(_persona("ann", v)), range(4)))
    assert len(records.find(PersonaRecord, "ann")) == 20


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    records = Records(tmp_path / "a.sqlite")
    with pytest.raises(IntegrityError), records.transaction() as session:  # noqa: PT012
        session.add(_persona("ann", 1))
        session.add(DonorRecord(id="x", owner="ann", name=None, category="sweet", facts={}))
    assert records.find(PersonaRecord, "ann") == []


def test_content_ids_do_not_depend_on_key_order() -> None:
    assert content_id({"a": 1, "b": [2]}) == content_id({"b": [2], "a": 1})
    assert content_id({"a": 1}) != content_id({"a": 2})


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PERSONA_STUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("PERSONA_STUDIO_BATCH_SIZE", "3")
    assert Settings().data == tmp_path
    assert Settings().batch_size == 3
    assert Settings(batch_size=5).batch_size == 5
