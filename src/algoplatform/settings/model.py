"""The settings, with their defaults and purposes."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from algoplatform import environment as env
from algoplatform.settings.console import ConsoleSettings
from algoplatform.settings.options import PREFIX, SettingsError, WithRenderOptions

_MEBIBYTE: Final = 1024 * 1024
# Blank means nobody: the default would give rights that the operator has taken away.
_MAY_BE_EMPTY: Final = ("platform_authorities", "namespace_authorities")


def _data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    if not base:
        # PostgreSQL refuses to run as root, and its own user cannot access root's home. In a container, the
        # user may have no home.
        home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises if there is none
        base = "/var/lib" if os.geteuid() == 0 or not os.path.isabs(home) else f"{home}/.local/share"  # noqa: PTH117
    return Path(base) / "algoplatform"


class Settings(ConsoleSettings, WithRenderOptions):
    """All settings, with their defaults and, as docstrings, their purposes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", use_attribute_docstrings=True)

    database_url: env.DatabaseUrl = None
    """PostgreSQL 15 or newer, postgresql://user:password@host/database; set it to use your own server,
    otherwise the service starts an embedded one"""
    data_dir: env.Directory = Field(default_factory=_data_dir)
    """directory of the embedded PostgreSQL; set it to keep the data on another disk"""
    postgres_bin: env.File = None
    """directory of the PostgreSQL binaries; set it if the extra `embedded` is not installed"""
    pool_size: Annotated[int, Field(ge=1, le=1000)] = 10
    """maximum PostgreSQL connections per worker; raise it if requests wait while PostgreSQL is idle"""
    pool_timeout: env.Seconds = 5
    """seconds to wait for a connection before -503; lower it to fail sooner"""
    statement_timeout: Annotated[float, Field(ge=0, le=86400)] = 60
    """time limit of a statement in seconds, 0 for no limit; lower it to cancel slow ones sooner"""
    prepared_statements: bool = True
    """set it to false behind a pooler in transaction mode, such as PgBouncer; the role's statement_timeout
    then applies"""
    host: str = "127.0.0.1"
    """address to listen on; 0.0.0.0 or :: lets other machines reach the service"""
    port: Annotated[env.Port, Field(ge=0, le=65535)] = env.DEFAULT_PORT
    """port to listen on; change it if another program uses it"""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """number of server processes; raise it to use more cores"""
    http_status: Literal["strict", "always-200"] = "strict"
    """always-200 sends HTTP 200 with every response, for clients that read only the body"""
    node_port_range: env.PortRange = "30000-32767"
    """node ports that images may use, first-last; set it to the range of your cluster"""
    platform_authorities: env.Authorities = frozenset({1})
    """authorities that may delete any image; set it to the numbers of your platform, blank for none"""
    namespace_authorities: env.Authorities = frozenset({2, 3})
    """authorities that may delete images of their own namespaces; likewise"""
    auth: Literal["gateway", "token"] = "gateway"
    """how callers are authenticated: gateway trusts the gateway in front, token verifies a Bearer token (JWT)
    per request; use token if clients reach the service directly"""
    actor_header: env.Header = ""
    """header in which the gateway sends the caller's name; set it to show names in the history of images"""
    authority_header: env.Header = ""
    """header in which the gateway sends the caller's authority; set this or namespaces_header to restrict
    callers as claims do: requests without the header may only read"""
    namespaces_header: env.Header = ""
    """header in which the gateway sends the caller's namespaces, comma separated; set it with
    authority_header"""
    trust_gateway: bool = False
    """true allows listening beyond loopback with auth=gateway; set it once the gateway is in front"""
    jwks_url: env.HttpUrl = None
    """URL of the keys (JWKS) that verify tokens; set it if the identity provider publishes them"""
    jwks_refresh: Annotated[float, Field(ge=1, le=86400)] = 300
    """seconds after which the JWKS is fetched again; lower it to drop revoked keys sooner"""
    key_file: env.File = None
    """file with the public key (PEM) or keys (JWKS) that verify tokens; set it if jwks_url is out of reach"""
    token_algorithms: Annotated[env.Algorithms, Field(min_length=1)] = frozenset({"RS256", "ES256", "EdDSA"})
    """accepted signature algorithms of tokens; set it to those of your provider"""
    token_audience: env.Text = None
    """required `aud` of tokens; token mode needs it"""
    token_issuer: env.Text = None
    """required `iss` of tokens; token mode needs it"""
    actor_claim: env.Name = "sub"
    """claim with the caller's name, also shown in the history; if `sub` is an opaque id, set it to a claim
    that is unique and that users cannot change"""
    authority_claim: env.Name = "authority"
    """claim with the caller's authority; set it to the name that your provider uses"""
    namespaces_claim: env.Name = "namespace"
    """claim with the caller's namespace or a list of them; set it to the name that your provider uses"""
    token: env.BearerToken = None
    """token that the command line sends to --url; set it if that service uses auth=token"""
    max_body_bytes: Annotated[int, Field(ge=1024)] = _MEBIBYTE
    """size limit of a JSON body in bytes; raise it if legitimate requests get -413"""
    max_upload_bytes: Annotated[int, Field(ge=1024)] = 256 * _MEBIBYTE
    """size limit of an uploaded file in bytes; lower it if the disk for uploads is small"""
    max_header_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024
    """size limit of request line and headers in bytes; raise it if a gateway adds long headers"""
    header_timeout: env.Seconds = 30
    """time limit for receiving the head of a request, in seconds; lower it if slow clients hold
    connections"""
    body_timeout: env.Seconds = 30
    """time limit for receiving a body, in seconds, plus 1 second per 64 KiB; raise it for slow networks"""
    send_timeout: env.Seconds = 30
    """seconds after which a client that stops reading its response is disconnected; raise it for slow
    networks"""
    max_uploads: Annotated[int, Field(ge=1, le=1000)] = 4
    """concurrent uploads per worker, further ones get -429; lower it to reduce the load on PostgreSQL.
    Uploads also leave one of the connections for writes (half of pool_size) to single writes"""
    max_exports: Annotated[int, Field(ge=1, le=1000)] = 4
    """concurrent streamed responses per worker, further ones get -429; likewise"""
    allowed_hosts: env.Hosts = frozenset()
    """accepted Host headers (also *.example.com); set it against DNS rebinding. If unset, any Host is
    accepted, except that a service on loopback accepts writes by browsers only for loopback names"""
    trusted_proxies: env.Networks = frozenset()
    """addresses or networks of proxies whose X-Forwarded-* headers are trusted; set it to log client
    addresses"""
    cors_origins: env.Origins = frozenset()
    """origins of web pages that may call the service from a browser (CORS); set it for such a page"""
    root_path: Annotated[str, Field(pattern=r"^(/[^/?#]+)*$")] = ""
    """path prefix under which an ingress serves the service; set it if the ingress strips one"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """minimum log level; warning omits the line per request"""
    idempotency_hours: Annotated[int, Field(ge=1, le=24 * 365)] = 24
    """hours to store an Idempotency-Key; lower it to keep the table small"""

    gpu_profiles_file: env.File = None
    """file with GPU profiles (JSON list of rows); set it to add profiles or to replace shipped ones"""
    gpu_cards: str = ""
    """GPU memory of each kind of card in MiB, comma separated; set it to find images that fit no card"""
    lint_severity: str = ""
    """severity of rules, JSON such as {"tag-latest": "error"}; set it to what your site tolerates"""
    lint_exemptions: str = ""
    """images that rules do not look at: JSON list of objects with rule, image (a pattern), reason, until"""
    lint_platform: Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9]+$")] = "linux/amd64"
    """os/architecture that images must have; set it to that of your nodes"""
    registries: env.Secret = None
    """registries that may be asked whether an image is there: JSON list of objects with host, http, username,
    password, caFile, realms; no other host is contacted"""
    verify_interval: Annotated[float, Field(ge=0, le=30 * 86400)] = 0
    """seconds after which each image is looked up in its registry again, 0 for only on request; one worker of all
    does it"""

    @field_validator("*", mode="before")
    @classmethod
    def _clean(cls, value: object, info: ValidationInfo) -> object:
        """Strip a text; a blank one counts as unset, as Compose files and Helm charts pass unset variables on."""
        if not isinstance(value, str):
            return value
        name, text = str(info.field_name), env.clean(value)
        if text or name in _MAY_BE_EMPTY:
            return text
        return cls.model_fields[name].get_default(call_default_factory=True, validated_data={})

    @property
    def node_ports(self) -> range:
        first, _, last = self.node_port_range.partition("-")
        return range(int(first), int(last) + 1)

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only programs on this machine can reach the service."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def check_listening(self) -> None:
        """Raise SettingsError if the service would listen where any client could claim any authority."""
        if self.auth == "token" or self.trust_gateway or self.listens_on_loopback:
            return
        raise SettingsError(
            f"refusing to listen on {self.host}: with ALGOPLATFORM_AUTH=gateway the service trusts every caller; put an"
            " authenticating gateway in front and set ALGOPLATFORM_TRUST_GATEWAY=true, or set ALGOPLATFORM_AUTH=token,"
            " or listen on 127.0.0.1"
        )

    def check_token(self) -> None:
        """Raise SettingsError if settings for verifying tokens are missing, and name them."""
        needed = {"TOKEN_AUDIENCE": self.token_audience, "TOKEN_ISSUER": self.token_issuer}
        missing = [PREFIX + name for name, value in needed.items() if value is None]
        if (self.jwks_url is None) == (self.key_file is None):
            missing.append("either ALGOPLATFORM_JWKS_URL or ALGOPLATFORM_KEY_FILE")
        if missing:
            raise SettingsError(f"ALGOPLATFORM_AUTH=token needs {' and '.join(missing)}")
