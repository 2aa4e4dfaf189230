"""Connections to PostgreSQL: the pool, deadlines, transactions, batches."""
