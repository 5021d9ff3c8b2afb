"""Steps from the tables of one version of the studio to those of the next (alembic)."""
