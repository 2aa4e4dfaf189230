"""A PostgreSQL of the service's own, for those who have none: started before the workers, stopped after them."""

from algoplatform.embedded.processes import EmbeddedPostgresError
from algoplatform.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]
