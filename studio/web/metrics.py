"""/metrics: figures for Prometheus, for the administrator and for whoever has the token of the settings."""

from __future__ import annotations

import hmac

from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from studio.application import Studio
from studio.jobs.metrics import render_metrics
from studio.library.users import Users
from studio.web.login import owner_of_request

__all__ = ["add_metrics"]


def add_metrics(app: FastAPI, studio: Studio) -> None:
    users = Users(studio.records)

    @app.get("/metrics", include_in_schema=False)
    def metrics(request: Request) -> Response:
        """Say how jobs, workers and machines stand: names of machines, nobody's of users, no job's."""
        owner = owner_of_request(request)
        if not _has_token(request, studio.settings.metrics_token.get_secret_value()):
            if owner is None:
                raise HTTPException(401)
            if users.administrator(studio.settings.owner) not in (None, owner):
                raise HTTPException(403)
        return Response(
            render_metrics(studio), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"}
        )


def _has_token(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
