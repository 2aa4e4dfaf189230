"""An embedded PostgreSQL for installations without one: started before the workers, stopped after them."""

from algoplatform.embedded.processes import EmbeddedPostgresError
from algoplatform.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]
