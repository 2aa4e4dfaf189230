"""The composition root: the only place that wires the services, for API, command line and tests."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from algoplatform.catalogue.cluster.artifacts import Artifacts
from algoplatform.catalogue.cluster.drafts import Drafts
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

log = structlog.get_logger()


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
    artifacts: Artifacts
    drafts: Drafts
    access: AccessPolicy
    recent: RecentChanges
    _live_count: LiveCount
    # The problem that the last check of the schema found, None if there was none.
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
        """Return the number of live images, which LiveCount caches for at least 10 seconds."""
        return await self._live_count.recent()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator["Runtime"]:
        """Build the use cases from the settings; raises SettingsError for values that only a use case can check."""
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
            artifacts = Artifacts(database, access, registries, site.defaults.registry)
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
                Manifests(graphs, site, database),
                Drift(database, site, artifacts.digests),
                Plans(graphs, site),
                site,
                artifacts,
                Drafts(registries, rules, site.defaults.registry, settings.lint_platform),
                access,
                RecentChanges(database, Stamps(database)),
                LiveCount(database),
            )


@asynccontextmanager
async def verifying(runtime: Runtime) -> AsyncIterator[None]:
    """Verify all images periodically during the block, if the settings have an interval."""
    interval = runtime.settings.verify_interval
    if not interval:
        yield
        return
    task = asyncio.create_task(_verify_often(runtime.artifacts, interval))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _verify_often(artifacts: Artifacts, interval: float) -> None:
    """Verify images once per `interval` (seconds), each worker at a random offset.

    Images that any worker has verified within the last half of an interval are not due.
    """
    wait = interval * random.random()  # noqa: S311 - nobody gains by guessing it
    while True:
        await asyncio.sleep(wait)
        wait = interval
        try:
            count = await artifacts.verify_due(interval / 2)
        except Unavailable:
            log.warning("verification_postponed")
        except Exception:
            log.exception("verification_failed")
        else:
            if count:
                log.info("verified", images=count)


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
    policy = replace(policy, platform=settings.lint_platform)
    try:
        return Site.parse(settings.render, path.read_bytes() if path else None, policy)
    except OSError as error:
        raise SettingsError(f"ALGOPLATFORM_GPU_PROFILES_FILE: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(str(error)) from None
