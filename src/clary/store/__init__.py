"""The store: SQLAlchemy Core on SQLite or PostgreSQL, one writer, keyset pages."""
