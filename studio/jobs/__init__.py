"""Durable jobs: kinds, queue, engine, worker, supervisor, heartbeat, progress."""
