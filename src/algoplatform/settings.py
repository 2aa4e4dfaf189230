"""What an operator may set: environment variables ALGOPLATFORM_*, or files of those names in ALGOPLATFORM_SECRETS_DIR."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Any, Literal

import pydantic_settings
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from algoplatform.environment import (
    DEFAULT_PORT,
    Algorithms,
    Authorities,
    File,
    Hosts,
    Networks,
    Origins,
    Port,
    Secret,
    Text,
    clean,
    is_http_url,
    is_link_value,
    is_service_link,
    masked,
)

PREFIX = "ALGOPLATFORM_"
SECRETS_DIR = f"{PREFIX}SECRETS_DIR"
_MEBIBYTE = 1024 * 1024
_PORT = re.compile(r"[0-9]{1,5}")
_TOKEN = re.compile(r"[!-~]+")


class SettingsError(Exception):
    """A setting is wrong or missing; the message is one line that names it."""


def _data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    if not base:
        # PostgreSQL does not run as root, and who it runs as cannot enter root's home. A container's user may have none.
        home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
        base = "/var/lib" if os.geteuid() == 0 or not os.path.isabs(home) else f"{home}/.local/share"  # noqa: PTH117
    return Path(base) / "algoplatform"


_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]@:,/?#]*)(?::[0-9]{1,5})?"
_DATABASE_URL = re.compile(
    rf"(?:postgres|postgresql|postgresql\+asyncpg)://(?:[^@/?#]*@)?{_HOST}(?:,{_HOST})*(?:[/?].*)?"
)


class Settings(BaseSettings):
    """Every setting, its default and what it is for."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    database_url: Secret = Field(
        None,
        description="PostgreSQL 15 or newer, postgresql://user:password@host/database; set it to use a server of yours,"
        " for the service otherwise starts its own",
    )
    data_dir: Path = Field(
        default_factory=_data_dir,
        description="folder of the service's own PostgreSQL; set it to keep the data on another disk",
    )
    postgres_bin: File = Field(
        None, description="folder of PostgreSQL's programs; set it where the extra `embedded` is not installed"
    )
    pool_size: int = Field(
        10,
        ge=1,
        le=1000,
        description="most connections to PostgreSQL, per worker; raise it where requests wait for one while PostgreSQL is idle",
    )
    pool_timeout: float = Field(
        5, gt=0, le=3600, description="seconds to wait for a connection before answering -503; lower it to fail sooner"
    )
    statement_timeout: float = Field(
        60,
        ge=0,
        le=86400,
        description="seconds a statement may take, 0 for no limit; lower it to stop slow ones sooner",
    )
    prepared_statements: bool = Field(
        True,
        description="set it to false behind a pooler in transaction mode, as PgBouncer; statement_timeout is then the role's",
    )
    host: str = Field(
        "127.0.0.1", description="address to listen on; 0.0.0.0 or :: lets other machines reach the service"
    )
    port: Port = Field(
        DEFAULT_PORT, ge=0, le=65535, description="port to listen on; change it where another program has it"
    )
    workers: int = Field(1, ge=1, le=64, description="processes that serve; raise it to use more cores of one machine")
    http_status: Literal["strict", "always-200"] = Field(
        "strict", description="always-200 answers HTTP 200 to clients that read only the body"
    )
    node_port_range: str = Field(
        "30000-32767", description="node ports that images may name, first-last; set it to what your cluster allows"
    )
    platform_authorities: Authorities = Field(
        frozenset({1}), description="authorities that may delete any image; set them to your platform's numbers"
    )
    namespace_authorities: Authorities = Field(
        frozenset({2, 3}), description="authorities that may delete images of their own namespace; likewise"
    )
    auth: Literal["gateway", "token"] = Field(
        "gateway",
        description="how callers are known: gateway trusts what stands in front, token checks a Bearer token (JWT) of each"
        " request; use token where clients reach the service directly",
    )
    actor_header: str = Field(
        "",
        pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$",
        description="header in which the gateway names the caller; set it to have names in the history of images",
    )
    authority_header: str = Field(
        "",
        pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$",
        description="header in which the gateway gives the caller's authority; set this or namespaces_header to bound what"
        " callers may do, as claims do: without the header they may only read",
    )
    namespaces_header: str = Field(
        "",
        pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$",
        description="header in which the gateway gives the caller's namespaces, comma separated; set it with authority_header",
    )
    trust_gateway: bool = Field(
        False,
        description="true allows listening beyond loopback with auth=gateway; set it once such a gateway is in front",
    )
    jwks_url: Secret = Field(
        None, description="address of the tokens' public keys (JWKS); set it where the identity provider publishes them"
    )
    jwks_refresh: float = Field(
        300,
        ge=1,
        le=86400,
        description="seconds after which they are fetched again; lower it to drop withdrawn keys sooner",
    )
    key_file: File = Field(
        None,
        description="the tokens' public key (PEM) or keys (JWKS); set it instead of jwks_url where that is out of reach",
    )
    token_algorithms: Algorithms = Field(
        frozenset({"RS256", "ES256", "EdDSA"}),
        min_length=1,
        description="algorithms that tokens may be signed with; set it to those of your provider",
    )
    token_audience: Text = Field(None, description="`aud` that a token must have; token mode needs it")
    token_issuer: Text = Field(None, description="`iss` that a token must have; token mode needs it")
    token_leeway: float = Field(
        10, ge=0, le=300, description="seconds that clocks may differ; raise it where fresh tokens count as expired"
    )
    actor_claim: str = Field(
        "sub",
        min_length=1,
        description="claim that names the caller, in the history too; set it where `sub` is a number that tells people nothing,"
        " to one that is unique and that users cannot change",
    )
    authority_claim: str = Field(
        "authority",
        min_length=1,
        description="claim that holds the caller's authority; set it to your provider's name for it",
    )
    namespaces_claim: str = Field(
        "namespace",
        min_length=1,
        description="claim that holds the caller's namespace, or a list of them; set it to your provider's name for it",
    )
    token: Secret = Field(
        None, description="token that the command line sends to the service of --url; set it where that uses auth=token"
    )
    max_body_bytes: int = Field(
        _MEBIBYTE, ge=1024, description="largest JSON body, in bytes; raise it where honest requests are answered -413"
    )
    max_upload_bytes: int = Field(
        256 * _MEBIBYTE,
        ge=1024,
        description="largest uploaded file, in bytes; lower it where the disk for uploads is small",
    )
    max_header_bytes: int = Field(
        32 * 1024,
        ge=1024,
        description="largest head of a request, in bytes; raise it where a gateway adds long headers",
    )
    header_timeout: float = Field(
        30,
        gt=0,
        le=3600,
        description="seconds that a request's head may take; lower it where slow clients hold connections",
    )
    body_timeout: float = Field(
        30,
        gt=0,
        le=3600,
        description="seconds that a body may take, and one more for every 64 KiB of it; raise it for slow networks",
    )
    send_timeout: float = Field(
        30,
        gt=0,
        le=3600,
        description="seconds that a client may go without reading its answer; raise it for slow networks",
    )
    max_uploads: int = Field(
        4,
        ge=1,
        le=1000,
        description="uploads at a time, per worker, others are answered -429; lower it to spare PostgreSQL",
    )
    max_exports: int = Field(
        4, ge=1, le=1000, description="streamed answers at a time, per worker, others are answered -429; likewise"
    )
    allowed_hosts: Hosts = Field(
        frozenset(),
        description="names (also *.example.com) that a request's Host may have; set them against DNS rebinding. Any where this"
        " is not set, but those of loopback for what browsers write to a service that listens there",
    )
    trusted_proxies: Networks = Field(
        frozenset(),
        description="addresses or networks of proxies whose X-Forwarded-* count; set them to see clients' own addresses",
    )
    cors_origins: Origins = Field(
        frozenset(),
        description="origins of web pages that may call the service from a browser; set them for such a page",
    )
    root_path: str = Field(
        "",
        pattern=r"^(/[^/?#]+)*$",
        description="path under which an ingress serves the service; set it where it cuts one off",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe level logged; warning leaves out the line for each request"
    )
    idempotency_hours: int = Field(
        24, ge=1, le=24 * 365, description="hours an Idempotency-Key is remembered; lower it to keep the table small"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _clean(cls, value: object) -> object:
        return clean(value) if isinstance(value, str) else value

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
    def _check_jwks_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_http_url(value.get_secret_value()):
            raise ValueError("must be https://host/path, special characters of a password percent-encoded")
        return value

    @field_validator("token")
    @classmethod
    def _check_shown_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError("must be the token alone: ASCII characters without blanks, and without `Bearer` in front")
        return value

    @field_validator("data_dir", "postgres_bin", "key_file", mode="before")
    @classmethod
    def _check_path(cls, value: object) -> object:
        if isinstance(value, str) and value.lstrip().startswith(("-----BEGIN", "{")):
            raise ValueError("must name a file, not be its content")
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
    except pydantic_settings.SettingsError:
        raise SettingsError(f"{SECRETS_DIR}: a file in it cannot be read, or is not UTF-8") from None


def unknown() -> list[str]:
    """List variables that look like settings and are none."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {SECRETS_DIR}
    ours = {name: value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    return sorted(
        name for name, value in ours.items() if name.upper() not in known and not is_service_link(name, value)
    )


def ignored() -> list[str]:
    """List variables that Kubernetes set for a Service, though a setting has their name."""
    return sorted(
        name for name, value in os.environ.items() if name.upper() == f"{PREFIX}PORT" and is_link_value(value)
    )


def describe(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Give each setting's variable, value (secrets masked), default and purpose."""
    rows = [
        (
            PREFIX + name.upper(),
            _shown_url(settings) if name == "jwks_url" else _shown(getattr(settings, name)),
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


def _shown_url(settings: Settings) -> str:
    return masked(settings.jwks_url.get_secret_value()) if settings.jwks_url else ""


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return ",".join(map(str, sorted(value)))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)
