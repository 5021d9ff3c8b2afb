"""A browser on this machine: the test client under the address that the pages have."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient as _TestClient

__all__ = ["TestClient"]


class TestClient(_TestClient):
    """Asks 127.0.0.1, where nothing else is said: no name of a test's is one of the studio's."""

    __test__ = False

    def __init__(self, app: Any, base_url: str = "http://127.0.0.1", **given: Any) -> None:
        super().__init__(app, base_url=base_url, **given)
