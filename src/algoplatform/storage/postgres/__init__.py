"""Connections to PostgreSQL: pool, deadlines, transactions, batching."""
