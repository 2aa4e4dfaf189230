"""All SQL, and access to PostgreSQL."""
