"""The schema in SQLAlchemy, to which `alembic check` compares the database."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from algoplatform.storage.search.filter_indexes import COLUMNS, FILTERS, KIND, LONG_COLUMNS, WIDTH, condition_of, cut
from algoplatform.storage.search.where_clause import LONG_TEXT, SHORT_TEXT

metadata = MetaData()

_BYTEWISE = Text(collation="C")
_NOW = text("now()")
_TRUE = text("true")


def _of(*fields: str) -> dict[str, tuple[str, ...]]:
    """Mark a column whose value storage/images/columns.py computes from these fields of the record."""
    return {"fields": fields}


def _filter_index(column: str, *, short: bool = True) -> Index:
    """Return the index of a filter, in result order within a value (storage/search/filter_indexes.py)."""
    others = [text(cut(other, WIDTH)) if other in LONG_COLUMNS else other for other in FILTERS if other != column]
    return Index(
        f"image_{column}_idx" if short else f"image_long_{column}_idx",
        text(cut(column)),
        "image_name",
        "image_tag",
        *(others if short else []),
        # For counting by an index-only scan.
        postgresql_include=[column] if short else None,
        postgresql_where=text(f"live AND {condition_of(column, short=short)}"),
    )


# Triggers copy each state to image_revision before the next, and reject what would lose one: deletes, and
# updates that do not increment the version.
image = Table(
    "image",
    metadata,
    Column("image_id", Uuid, nullable=False),
    Column("image_name", _BYTEWISE, nullable=False, info=_of("imageName")),
    Column("image_tag", _BYTEWISE, nullable=False, info=_of("imageTag")),
    Column("namespace", _BYTEWISE, info=_of("imageName")),
    Column("factory", _BYTEWISE, nullable=False, info=_of("factory")),
    Column("algo_type", _BYTEWISE, nullable=False, info=_of("algoType")),
    Column("event_type", Integer, info=_of("eventType")),
    Column("incident_id", _BYTEWISE, info=_of("incidentId")),
    Column("useable_flag", _BYTEWISE, info=_of("useableFlag")),
    Column(
        "search",
        _BYTEWISE,
        nullable=False,
        comment="name:tag, factory, algoName, algoDesc, folded, a line each",
        info=_of("imageName", "imageTag", "factory", "algoName", "algoDesc"),
    ),
    Column("record", _BYTEWISE, nullable=False, comment="the record as the interface answers it: compact JSON"),
    Column("version", BigInteger, nullable=False, server_default=text("1"), comment="the ETag"),
    Column("live", Boolean, nullable=False, server_default=_TRUE, comment="false once deleted"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("operation", _BYTEWISE, nullable=False, server_default=text("'register'")),
    Column("actor", _BYTEWISE),
    Column("request_id", _BYTEWISE),
    PrimaryKeyConstraint("image_id", name="image_pkey"),
    UniqueConstraint("image_id", "live", name="image_live_key"),
    CheckConstraint("algo_type IN ('0', '1', '2')", name="image_algo_type_check"),
    CheckConstraint("useable_flag IN ('0', '1')", name="image_useable_flag_check"),
    CheckConstraint("event_type >= 0", name="image_event_type_check"),
    CheckConstraint("substr(record, 13, 32) = replace(image_id::text, '-', '')", name="image_record_check"),
    Index("image_reference_key", "image_name", "image_tag", unique=True, postgresql_where=text("live")),
    Index(
        "image_grams_idx",
        text("image_grams(search)"),
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 1024},
        postgresql_where=text("live"),
    ),
    # For counting by an index-only scan: most of a row is its record.
    Index(
        "image_text_idx",
        "live",
        postgresql_include=["search", "image_id", "algo_type", "useable_flag"],
        postgresql_where=text(f"live AND {SHORT_TEXT}"),
    ),
    Index("image_long_text_idx", "live", postgresql_where=text(f"live AND {LONG_TEXT}")),
    Index(
        "image_kind_idx",
        text(KIND),
        "image_name",
        "image_tag",
        postgresql_include=["algo_type", "useable_flag"],
        postgresql_where=text("live"),
    ),
    *map(_filter_index, COLUMNS),
    _filter_index("factory", short=False),
    _filter_index("incident_id", short=False),
)

# Both foreign keys include `live`, which is always true here. So PostgreSQL itself rejects the deletion of an
# image with dependents, and a dependency on a deleted image, whichever transaction comes first.
image_dependency = Table(
    "image_dependency",
    metadata,
    Column("dependent_id", Uuid, nullable=False),
    Column("dependency_id", Uuid, nullable=False),
    Column("live", Boolean, nullable=False, server_default=_TRUE),
    PrimaryKeyConstraint("dependent_id", "dependency_id", name="image_dependency_pkey"),
    ForeignKeyConstraint(
        ["dependent_id", "live"], ["image.image_id", "image.live"], name="image_dependency_dependent_fkey"
    ),
    ForeignKeyConstraint(
        ["dependency_id", "live"], ["image.image_id", "image.live"], name="image_dependency_dependency_fkey"
    ),
    CheckConstraint("live", name="image_dependency_live_check"),
    CheckConstraint("dependent_id <> dependency_id", name="image_dependency_self_check"),
    Index("image_dependency_dependency_idx", "dependency_id"),
)

# All earlier states of each image; one trigger fills the table, another keeps it append-only.
image_revision = Table(
    "image_revision",
    metadata,
    Column("image_id", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("operation", _BYTEWISE, nullable=False),
    Column("actor", _BYTEWISE),
    Column("request_id", _BYTEWISE),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("record", _BYTEWISE, nullable=False),
    PrimaryKeyConstraint("image_id", "version", name="image_revision_pkey"),
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("key", _BYTEWISE, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False, comment="SHA-256 of the operation and the body"),
    Column("http_status", SmallInteger, nullable=False),
    Column("headers", Text, nullable=False, comment="JSON object"),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("caller", _BYTEWISE, comment="who was refused"),
    PrimaryKeyConstraint("key", name="idempotency_key_pkey"),
    Index("idempotency_key_created_idx", "created_at"),
    # For limiting the number of refusals stored per caller.
    Index("idempotency_key_refused_idx", "caller", "created_at", postgresql_where=text("http_status <> 200")),
)
