"""What alembic runs: in `studio.library.migrating` on the studio's own connection, on the command line of a developer
(`alembic revision --autogenerate`) on the data folder of the settings."""

from __future__ import annotations

from contextlib import ExitStack

from alembic import context

from studio.library.database import connect
from studio.library.records import Base
from studio.settings import Settings

with ExitStack() as stack:
    connection = context.config.attributes.get("connection")
    if connection is None:
        connection = stack.enter_context(connect(Settings().records_place).begin())
    # SQLite alters little: alembic copies a table there instead
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
