"""What an operator may set: environment variables ALGOPLATFORM_*, or files of those names in ALGOPLATFORM_SECRETS_DIR."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AnyHttpUrl, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "ALGOPLATFORM_"
SECRETS_DIR = f"{PREFIX}SECRETS_DIR"
_MEBIBYTE = 1024 * 1024
_PORT = re.compile(r"[0-9]{1,5}")


class SettingsError(Exception):
    """A setting is wrong or missing; the message is one line that names it."""


def _data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    if not base:
        # PostgreSQL does not run as root, and who it runs as cannot enter root's home. A container's user may have none.
        home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
        base = "/var/lib" if os.geteuid() == 0 or not os.path.isabs(home) else f"{home}/.local/share"  # noqa: PTH117
    return Path(base) / "algoplatform"


def _unset_if_blank(value: object) -> object:
    # Compose files and charts pass on a variable that nobody set as an empty one.
    return None if isinstance(value, str) and not value.strip() else value


def _comma_separated(value: object) -> object:
    return [item for item in value.replace(" ", "").split(",") if item] if isinstance(value, str) else value


Authorities = Annotated[frozenset[int], NoDecode, BeforeValidator(_comma_separated)]


def _check_network(value: str) -> str:
    ipaddress.ip_network(value)
    return value


def _check_host(value: str) -> str:
    if "*" in value.removeprefix("*."):
        raise ValueError("must name each host; * stands only for what is in front of a name, as in *.example.com")
    return value.lower()


def _check_origin(value: str) -> str:
    if "*" in value:
        raise ValueError("must name each origin, as https://ui.example.com; * stands for none")
    return value.lower()


Hosts = Annotated[frozenset[Annotated[str, AfterValidator(_check_host)]], NoDecode, BeforeValidator(_comma_separated)]
Origins = Annotated[
    frozenset[Annotated[str, AfterValidator(_check_origin)]], NoDecode, BeforeValidator(_comma_separated)
]
Networks = Annotated[
    frozenset[Annotated[str, AfterValidator(_check_network)]], NoDecode, BeforeValidator(_comma_separated)
]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Algorithms = Annotated[frozenset[Algorithm], NoDecode, BeforeValidator(_comma_separated)]
Text = Annotated[str | None, BeforeValidator(_unset_if_blank)]
_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]@:,/?#]*)(?::[0-9]{1,5})?"
_DATABASE_URL = re.compile(
    rf"(?:postgres|postgresql|postgresql\+asyncpg)://(?:[^@/?#]*@)?{_HOST}(?:,{_HOST})*(?:[/?].*)?"
)


class Settings(BaseSettings):
    """Every setting, its default and what it is for."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    database_url: Annotated[SecretStr | None, BeforeValidator(_unset_if_blank)] = Field(
        None, description="PostgreSQL 15 or newer, postgresql://...; the service starts its own where this is not set"
    )
    data_dir: Path = Field(default_factory=_data_dir, description="where the service's own PostgreSQL keeps its data")
    postgres_bin: Annotated[Path | None, BeforeValidator(_unset_if_blank)] = Field(
        None, description="folder of PostgreSQL's programs, where the extra `embedded` is not used"
    )
    pool_size: int = Field(10, ge=1, le=1000, description="connections to PostgreSQL at most, per worker")
    pool_timeout: float = Field(5, gt=0, le=3600, description="seconds to wait for a connection before answering -503")
    statement_timeout: float = Field(60, ge=0, le=86400, description="seconds a statement may take; 0 is no limit")
    prepared_statements: bool = Field(
        True, description="false behind a pooler of transactions, as PgBouncer; statement_timeout is then the role's"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    workers: int = Field(1, ge=1, le=64, description="processes that serve")
    http_status: Literal["strict", "always-200"] = Field(
        "strict", description="always-200 answers HTTP 200 to clients that read only the body"
    )
    node_port_range: str = Field("30000-32767", description="the cluster's node ports, first-last")
    platform_authorities: Authorities = Field(frozenset({1}), description="authorities that may delete any image")
    namespace_authorities: Authorities = Field(
        frozenset({2, 3}), description="authorities that may delete images of their own namespace"
    )
    auth: Literal["gateway", "token"] = Field(
        "gateway",
        description="who establishes the caller: the gateway in front, or a Bearer token (JWT) of each request",
    )
    actor_header: str = Field(
        "",
        pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$",
        description="header in which the gateway names the caller, for the history of images; none where this is not set",
    )
    trust_gateway: bool = Field(False, description="true allows listening beyond loopback behind such a gateway")
    jwks_url: Text = Field(None, pattern=r"^https?://\S+$", description="where the tokens' public keys are, as a JWKS")
    jwks_refresh: float = Field(300, ge=1, le=86400, description="seconds after which they are fetched again")
    key_file: Annotated[Path | None, BeforeValidator(_unset_if_blank)] = Field(
        None, description="the tokens' public key (PEM) or keys (JWKS), instead of jwks_url"
    )
    token_algorithms: Algorithms = Field(
        frozenset({"RS256", "ES256", "EdDSA"}), min_length=1, description="algorithms that tokens may be signed with"
    )
    token_audience: Text = Field(None, description="`aud` that a token must have")
    token_issuer: Text = Field(None, description="`iss` that a token must have")
    token_leeway: float = Field(10, ge=0, le=300, description="seconds that clocks may differ")
    authority_claim: str = Field("authority", min_length=1, description="claim that holds the caller's authority")
    namespaces_claim: str = Field(
        "namespace", min_length=1, description="claim that holds the caller's namespace, or a list of them"
    )
    token: Annotated[SecretStr | None, BeforeValidator(_unset_if_blank)] = Field(
        None, description="token that the command line shows to the service of --url"
    )
    max_body_bytes: int = Field(_MEBIBYTE, ge=1024, description="size of a JSON body at most")
    max_upload_bytes: int = Field(256 * _MEBIBYTE, ge=1024, description="size of an uploaded file at most")
    max_header_bytes: int = Field(32 * 1024, ge=1024, description="size of a request's head at most")
    header_timeout: float = Field(30, gt=0, le=3600, description="seconds that a request's head may take")
    body_timeout: float = Field(
        30, gt=0, le=3600, description="seconds that a body may take, and one more for every 64 KiB of it"
    )
    send_timeout: float = Field(
        30, gt=0, le=3600, description="seconds that a client may go without reading its answer"
    )
    max_uploads: int = Field(4, ge=1, le=1000, description="uploads at a time, per worker; others are answered -429")
    max_exports: int = Field(4, ge=1, le=1000, description="streamed answers at a time, per worker; others -429")
    allowed_hosts: Hosts = Field(
        frozenset(),
        description="names (also *.example.com) that a request's Host may have; any where this is not set, but those of"
        " loopback for what browsers write to a service that listens there",
    )
    trusted_proxies: Networks = Field(
        frozenset(),
        description="addresses or networks of proxies whose X-Forwarded-* count; none where this is not set",
    )
    cors_origins: Origins = Field(
        frozenset(), description="origins of web pages that may call the service from a browser"
    )
    root_path: str = Field("", pattern=r"^(/[^/?#]+)*$", description="path under which an ingress serves the service")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe level logged")
    idempotency_hours: int = Field(24, ge=1, le=24 * 365, description="hours an Idempotency-Key is remembered")

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _DATABASE_URL.fullmatch(value.get_secret_value()):
            raise ValueError(
                "must be postgresql://user:password@host:port/database, special characters of the password percent-encoded"
            )
        return value

    @field_validator("jwks_url")
    @classmethod
    def _check_jwks_url(cls, value: str | None) -> str | None:
        if value is not None:
            AnyHttpUrl(value)
        return value

    @field_validator("data_dir")
    @classmethod
    def _check_data_dir(cls, value: Path) -> Path:
        if value == Path():
            raise ValueError("must name a folder")
        return value.absolute()

    @field_validator("node_port_range")
    @classmethod
    def _check_node_ports(cls, value: str) -> str:
        first, dash, last = value.partition("-")
        if not (dash and _PORT.fullmatch(first) and _PORT.fullmatch(last) and 1 <= int(first) <= int(last) <= 65535):
            raise ValueError("must be first-last, ports from 1 to 65535")
        return value

    @property
    def node_ports(self) -> range:
        """The cluster's node ports."""
        first, _, last = self.node_port_range.partition("-")
        return range(int(first), int(last) + 1)

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only programs of this machine reach the service."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def check_listening(self) -> None:
        """Refuse to listen where anyone could claim any authority; SettingsError says what to do."""
        if self.auth == "token" or self.trust_gateway or self.listens_on_loopback:
            return
        raise SettingsError(
            f"refusing to listen on {self.host}: with ALGOPLATFORM_AUTH=gateway every caller is believed; put a gateway that"
            " authenticates in front and set ALGOPLATFORM_TRUST_GATEWAY=true, or set ALGOPLATFORM_AUTH=token, or listen on 127.0.0.1"
        )

    def check_token(self) -> None:
        """Refuse to take tokens that cannot be checked; SettingsError says what is missing."""
        needed = {"TOKEN_AUDIENCE": self.token_audience, "TOKEN_ISSUER": self.token_issuer}
        missing = [PREFIX + name for name, value in needed.items() if value is None]
        if (self.jwks_url is None) == (self.key_file is None):
            missing.append("either ALGOPLATFORM_JWKS_URL or ALGOPLATFORM_KEY_FILE")
        if missing:
            raise SettingsError(f"ALGOPLATFORM_AUTH=token needs {' and '.join(missing)}")


def load(**given: Any) -> Settings:
    """Read the settings, `given` ones first; SettingsError names the first wrong one."""
    secrets = os.environ.get(SECRETS_DIR) or None
    if secrets and not Path(secrets).is_dir():
        raise SettingsError(f"{SECRETS_DIR}: is not a folder")
    try:
        return Settings(_secrets_dir=secrets, **given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0]).upper() if first["loc"] else ""
        raise SettingsError(f"{PREFIX}{name}: {first['msg'].removeprefix('Value error, ')}") from None
    except OSError as error:
        raise SettingsError(f"{SECRETS_DIR}: {error.strerror}") from None


def unknown() -> list[str]:
    """List variables that look like settings and are none."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {SECRETS_DIR}
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)


def describe(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Give each setting's variable, value (secrets masked), default and purpose."""
    rows = [
        (
            PREFIX + name.upper(),
            _shown(getattr(settings, name)),
            _shown(field.get_default(call_default_factory=True, validated_data={})),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    secrets = (
        SECRETS_DIR,
        os.environ.get(SECRETS_DIR, ""),
        "",
        "folder of files named as these variables, for secrets",
    )
    return [*rows, secrets]


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return ",".join(map(str, sorted(value)))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
