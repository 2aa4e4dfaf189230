"""The only SQL: PostgreSQL and how it is reached."""
