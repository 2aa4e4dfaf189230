"""The composition root: the only place that wires the services, for API, command line and tests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from algoplatform.catalogue.cluster.drift import Drift
from algoplatform.catalogue.cluster.graph import Graphs
from algoplatform.catalogue.cluster.lint import Lint
from algoplatform.catalogue.cluster.manifests import Manifests
from algoplatform.catalogue.cluster.plan import Plans
from algoplatform.catalogue.cluster.site import Site
from algoplatform.catalogue.idempotency import Writes
from algoplatform.catalogue.images import Images
from algoplatform.catalogue.revisions import Revisions
from algoplatform.catalogue.search import Searches
from algoplatform.catalogue.uploads import Transfer
from algoplatform.domain.access import AccessPolicy
from algoplatform.domain.errors import Busy, Unavailable
from algoplatform.domain.record.check import Rules
from algoplatform.planning.lint.policy import Policy
from algoplatform.registries.client import Registries
from algoplatform.settings import Settings, SettingsError
from algoplatform.storage.images.recent import LiveCount, RecentChanges
from algoplatform.storage.images.register import Registrar
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.postgres.snapshot import Stamps
from algoplatform.storage.schema.versions import HEAD, REVISIONS, SchemaUnknown, revision


class NotReady(Exception):
    """This version cannot work with the database schema; the message says what to do."""


@dataclass(slots=True)
class Runtime:
    """The use cases and their database."""

    settings: Settings
    database: Database
    images: Images
    revisions: Revisions
    searches: Searches
    transfer: Transfer
    graphs: Graphs
    lint: Lint
    manifests: Manifests
    drift: Drift
    plans: Plans
    site: Site
    registries: Registries
    access: AccessPolicy
    recent: RecentChanges
    _live_count: LiveCount
    # What the last check of the schema found, None if nothing.
    _problem: str | None = None

    async def require_schema(self) -> None:
        """Raise NotReady if the schema is older than this version needs, SchemaUnknown if it is newer."""
        async with self.database.connection() as connection:
            current = await revision(connection)
        if current is not None and current not in REVISIONS:
            raise SchemaUnknown(current)
        if current != HEAD:
            at = current or "nothing"
            raise NotReady(f"schema is at {at}, this version needs {HEAD}: run `algoplatform migrate`")

    async def readiness(self) -> str | None:
        """Return why the service cannot serve requests, or None if it can."""
        try:
            await self.require_schema()
            self._problem = None
        except NotReady as problem:
            self._problem = str(problem)
        except SchemaUnknown:
            # The next version has migrated the schema already: migrations only add (docs/operations.md).
            self._problem = None
        except Busy:
            # An overloaded instance stays ready, as its traffic would overload the others.
            pass
        except Unavailable:
            return "database unreachable"
        return self._problem

    async def count_live(self) -> int:
        """Return the number of live images, at most 10 seconds old."""
        return await self._live_count.recent()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator["Runtime"]:
        """Build the use cases from the settings; raises SettingsError for what only a use case can check."""
        if settings.database_url is None:
            raise SettingsError("ALGOPLATFORM_DATABASE_URL is not set")
        rules = Rules(settings.node_ports)
        site = _site(settings)
        access = AccessPolicy(settings.platform_authorities, settings.namespace_authorities)
        async with (
            _registries(settings) as registries,
            Database.open(
                settings.database_url.get_secret_value(),
                size=settings.pool_size,
                timeout=settings.pool_timeout,
                statement_timeout=settings.statement_timeout,
                prepared_statements=settings.prepared_statements,
            ) as database,
        ):
            writes = Writes(database, access, settings.idempotency_hours)
            yield cls(
                settings,
                database,
                Images(rules, access, database, Registrar(database, settings.pool_timeout), writes),
                Revisions(rules, access, database, writes),
                Searches(database, settings.pool_size, settings.pool_timeout),
                Transfer(rules, access, writes),
                graphs := Graphs(rules, database, settings.pool_size, settings.pool_timeout),
                Lint(database, rules, site.policy_for(site.defaults)),
                Manifests(graphs, site),
                Drift(database, site),
                Plans(graphs, site),
                site,
                registries,
                access,
                RecentChanges(database, Stamps(database)),
                LiveCount(database),
            )


@asynccontextmanager
async def _registries(settings: Settings) -> AsyncIterator[Registries]:
    text = settings.registries.get_secret_value() if settings.registries else ""
    async with AsyncExitStack() as stack:
        try:
            registries = await stack.enter_async_context(Registries.open(text))
        except ValueError as error:
            raise SettingsError(f"ALGOPLATFORM_REGISTRIES: {error}") from None
        yield registries


def _site(settings: Settings) -> Site:
    path = settings.gpu_profiles_file
    try:
        policy = Policy.parse(settings.lint_severity, settings.lint_exemptions, settings.gpu_cards, settings.node_ports)
    except ValueError as error:
        raise SettingsError(f"ALGOPLATFORM_{error}") from None
    try:
        return Site.parse(settings.render, path.read_bytes() if path else None, policy)
    except OSError as error:
        raise SettingsError(f"ALGOPLATFORM_GPU_PROFILES_FILE: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(str(error)) from None
