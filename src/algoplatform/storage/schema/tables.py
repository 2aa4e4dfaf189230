"""The schema in SQLAlchemy, to which `alembic check` compares the database."""

import sqlalchemy as sa

from algoplatform.storage.search.filter_indexes import (
    COLUMNS,
    FILTERS,
    IN_NAMESPACE,
    KIND,
    LONG_COLUMNS,
    NAMESPACE_KIND,
    WIDTH,
    condition_of,
    cut,
    has_others,
)
from algoplatform.storage.search.where_clause import LONG_TEXT, SHORT_TEXT

metadata = sa.MetaData()

_BYTEWISE = sa.Text(collation="C")
_NOW = sa.text("now()")
_TRUE = sa.text("true")


def _of(*fields: str) -> dict[str, tuple[str, ...]]:
    """Mark a column whose value storage/images/columns.py computes from these fields of the record."""
    return {"fields": fields}


def _filter_index(column: str, *, short: bool = True) -> sa.Index:
    """Return the index of a filter column, in result order within each value (storage/search/filter_indexes.py)."""
    others = [sa.text(cut(other, WIDTH)) if other in LONG_COLUMNS else other for other in FILTERS if other != column]
    return sa.Index(
        f"image_{column}_idx" if short else f"image_long_{column}_idx",
        sa.text(cut(column)),
        "image_name",
        "image_tag",
        *(others if has_others(column, short=short) else []),
        # For counting by an index-only scan.
        postgresql_include=[column] if short else None,
        postgresql_where=sa.text(f"live AND {condition_of(column, short=short)}"),
    )


# Triggers copy the old state to image_revision at each update. They reject deletes, and updates that do not
# increment the version, as these would lose a state.
image = sa.Table(
    "image",
    metadata,
    sa.Column("image_id", sa.Uuid, nullable=False),
    sa.Column("image_name", _BYTEWISE, nullable=False, info=_of("imageName")),
    sa.Column("image_tag", _BYTEWISE, nullable=False, info=_of("imageTag")),
    sa.Column("namespace", _BYTEWISE, info=_of("imageName")),
    sa.Column("factory", _BYTEWISE, nullable=False, info=_of("factory")),
    sa.Column("algo_type", _BYTEWISE, nullable=False, info=_of("algoType")),
    sa.Column("event_type", sa.Integer, info=_of("eventType")),
    sa.Column("incident_id", _BYTEWISE, info=_of("incidentId")),
    sa.Column("useable_flag", _BYTEWISE, info=_of("useableFlag")),
    sa.Column(
        "search",
        _BYTEWISE,
        nullable=False,
        comment="name:tag, factory, algoName, algoDesc, folded, a line each",
        info=_of("imageName", "imageTag", "factory", "algoName", "algoDesc"),
    ),
    sa.Column("record", _BYTEWISE, nullable=False, comment="the record as the interface answers it: compact JSON"),
    sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("1"), comment="the ETag"),
    sa.Column("live", sa.Boolean, nullable=False, server_default=_TRUE, comment="false once deleted"),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("operation", _BYTEWISE, nullable=False, server_default=sa.text("'register'")),
    sa.Column("actor", _BYTEWISE),
    sa.Column("request_id", _BYTEWISE),
    sa.PrimaryKeyConstraint("image_id", name="image_pkey"),
    sa.UniqueConstraint("image_id", "live", name="image_live_key"),
    sa.CheckConstraint("algo_type IN ('0', '1', '2')", name="image_algo_type_check"),
    sa.CheckConstraint("useable_flag IN ('0', '1')", name="image_useable_flag_check"),
    sa.CheckConstraint("event_type >= 0", name="image_event_type_check"),
    sa.CheckConstraint("substr(record, 13, 32) = replace(image_id::text, '-', '')", name="image_record_check"),
    sa.Index("image_reference_key", "image_name", "image_tag", unique=True, postgresql_where=sa.text("live")),
    sa.Index(
        "image_grams_idx",
        sa.text("image_grams(search)"),
        postgresql_using="gin",
        postgresql_where=sa.text("live"),
    ),
    # For counting by an index-only scan, which does not read the records, the largest part of a row.
    sa.Index(
        "image_text_idx",
        "live",
        postgresql_include=["search", "image_id", "algo_type", "useable_flag"],
        postgresql_where=sa.text(f"live AND {SHORT_TEXT}"),
    ),
    sa.Index("image_long_text_idx", "live", postgresql_where=sa.text(f"live AND {LONG_TEXT}")),
    sa.Index(
        "image_kind_idx",
        sa.text(KIND),
        "image_name",
        "image_tag",
        postgresql_include=["algo_type", "useable_flag"],
        postgresql_where=sa.text("live"),
    ),
    sa.Index(
        "image_namespace_kind_idx",
        sa.text(NAMESPACE_KIND),
        "image_name",
        "image_tag",
        postgresql_include=["namespace", "algo_type", "useable_flag"],
        postgresql_where=sa.text(f"live AND {IN_NAMESPACE}"),
    ),
    *map(_filter_index, COLUMNS),
    _filter_index("factory", short=False),
    _filter_index("incident_id", short=False),
)

# Both foreign keys include `live`, which is always true here. So PostgreSQL itself rejects the deletion of an
# image with dependents, and a dependency on a deleted image, whichever transaction comes first.
image_dependency = sa.Table(
    "image_dependency",
    metadata,
    sa.Column("dependent_id", sa.Uuid, nullable=False),
    sa.Column("dependency_id", sa.Uuid, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False, server_default=_TRUE),
    sa.PrimaryKeyConstraint("dependent_id", "dependency_id", name="image_dependency_pkey"),
    sa.ForeignKeyConstraint(
        ["dependent_id", "live"], ["image.image_id", "image.live"], name="image_dependency_dependent_fkey"
    ),
    sa.ForeignKeyConstraint(
        ["dependency_id", "live"], ["image.image_id", "image.live"], name="image_dependency_dependency_fkey"
    ),
    sa.CheckConstraint("live", name="image_dependency_live_check"),
    sa.CheckConstraint("dependent_id <> dependency_id", name="image_dependency_self_check"),
    # Includes the dependents, for index-only scans up the graph.
    sa.Index("image_dependency_dependency_idx", "dependency_id", "dependent_id"),
)

# All earlier states of each image; one trigger fills the table, another keeps it append-only.
image_revision = sa.Table(
    "image_revision",
    metadata,
    sa.Column("image_id", sa.Uuid, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("operation", _BYTEWISE, nullable=False),
    sa.Column("actor", _BYTEWISE),
    sa.Column("request_id", _BYTEWISE),
    sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("record", _BYTEWISE, nullable=False),
    sa.PrimaryKeyConstraint("image_id", "version", name="image_revision_pkey"),
)

# The last answers of registries about images; a trigger removes the row of an image that is deleted.
image_artifact = sa.Table(
    "image_artifact",
    metadata,
    sa.Column("image_id", sa.Uuid, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False, comment="the version of the image when it was verified"),
    sa.Column("state", _BYTEWISE, nullable=False),
    sa.Column("digest", _BYTEWISE, comment="the last one seen"),
    sa.Column("first_digest", _BYTEWISE, comment="the first one seen of this version of the image"),
    sa.Column("media_type", _BYTEWISE),
    sa.Column("message", _BYTEWISE),
    sa.Column("platforms", _BYTEWISE, comment="as the interface answers them: compact JSON"),
    sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("image_id", name="image_artifact_pkey"),
    sa.ForeignKeyConstraint(["image_id"], ["image.image_id"], name="image_artifact_image_fkey"),
    sa.CheckConstraint(
        "state IN ('present', 'missing', 'denied', 'unreachable', 'not-configured', 'unsupported')",
        name="image_artifact_state_check",
    ),
)

idempotency_key = sa.Table(
    "idempotency_key",
    metadata,
    sa.Column("key", _BYTEWISE, nullable=False),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False, comment="SHA-256 of the operation and the body"),
    sa.Column("http_status", sa.SmallInteger, nullable=False),
    sa.Column("headers", sa.Text, nullable=False, comment="JSON object"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("caller", _BYTEWISE, comment="who was refused"),
    sa.PrimaryKeyConstraint("key", name="idempotency_key_pkey"),
    sa.Index("idempotency_key_created_idx", "created_at"),
    # For limiting the number of refusals stored per caller.
    sa.Index("idempotency_key_refused_idx", "caller", "created_at", postgresql_where=sa.text("http_status <> 200")),
)
