"""Durable rows: SQLite in WAL mode by default, PostgreSQL by URL."""
