"""Parses environment variables, which may have surrounding quotes and line ends, or come from Kubernetes."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, AnyHttpUrl, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import NoDecode

DEFAULT_PORT: Final = 8000

# For a Service named `algoplatform`, Kubernetes sets these in every pod of its namespace.
_LINK_NAME: Final = re.compile(
    r"[A-Z0-9_]*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://.+")
_QUOTES: Final = ('"', "'")
_HOST: Final = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]@:,/?#]*)(?::[0-9]{1,5})?"
_DATABASE_URL: Final = re.compile(
    rf"(?:postgres|postgresql|postgresql\+asyncpg)://(?:[^@/?#]*@)?{_HOST}(?:,{_HOST})*(?:[/?].*)?"
)
_HOST_HEADER: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_TOKEN: Final = re.compile(r"[!-~]+")
_SPACE: Final = " \t\r\n\f\v\ufeff\u00a0"


def clean(text: str) -> str:
    """Strip white space and a pair of quotes; raises ValueError, which quotes no value, if the rest is not printable."""
    text = text.strip(_SPACE)
    if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
        text = text[1:-1].strip(_SPACE)
    if not text.isprintable():
        raise ValueError("contains a line break, a control character, or bytes that are not UTF-8")
    return text


def is_link_value(value: object) -> bool:
    """Return whether a value is the address of a Service, such as tcp://10.96.12.7:8000."""
    return isinstance(value, str) and _LINK_VALUE.fullmatch(value.strip(_SPACE)) is not None


def is_service_link(name: str, value: str) -> bool:
    """Return whether a variable looks like one that Kubernetes sets for a Service."""
    return is_link_value(value) or _LINK_NAME.fullmatch(name.upper()) is not None


def masked(url: str) -> str:
    """Mask the parts of a URL that may contain secrets: user, password and query."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    netloc = f"***@{host}" if at else host
    return parts._replace(netloc=netloc, query="***" if parts.query else "", fragment="").geturl()


def _comma_separated(value: object) -> object:
    return [item for item in value.replace(" ", "").split(",") if item] if isinstance(value, str) else value


def _own_port(value: object) -> object:
    return DEFAULT_PORT if is_link_value(value) else value


def _check_network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("must list addresses, or networks without host bits such as 10.0.0.0/8") from None
    return value


def _check_host(value: str) -> str:
    if _HOST_HEADER.fullmatch(value.removeprefix("*.")) is None:
        raise ValueError(
            "must list hosts as in a Host header, such as registry.example.com, *.example.com or [::1]:8443; * is"
            " allowed only as the first label"
        )
    return value.lower()


def _check_origin(value: str) -> str:
    _, separator, host = value.partition("://")
    if value != "null" and not (separator and _HOST_HEADER.fullmatch(host)):
        raise ValueError("must list origins, such as https://ui.example.com, without a path and without *")
    return value.lower()


def is_http_url(value: str) -> bool:
    """Return whether a value is an http or https URL; the error of Pydantic's type would quote the value."""
    try:
        AnyHttpUrl(value)
    except ValidationError:
        return False
    return value.lower().startswith(("http://", "https://")) and not any(map(str.isspace, value))


def _secret(is_valid: Callable[[str], object], rule: str) -> AfterValidator:
    """Return a validator of a secret, which its error does not quote."""

    def check(value: SecretStr) -> SecretStr:
        if not is_valid(value.get_secret_value()):
            raise ValueError(rule)
        return value

    return AfterValidator(check)


def _no_content(value: object) -> object:
    if isinstance(value, str) and value.lstrip().startswith(("-----BEGIN", "{")):
        raise ValueError("must be the path of a file, not its content")
    return value


def _check_port_range(value: str) -> str:
    first, dash, last = value.partition("-")
    if not (dash and _PORT.fullmatch(first) and _PORT.fullmatch(last) and 1 <= int(first) <= int(last) <= 65535):
        raise ValueError("must be first-last, ports from 1 to 65535")
    return value


def _without_blank(value: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in value.items() if text}


_Item = TypeVar("_Item")
_Listed = Annotated[frozenset[_Item], NoDecode, BeforeValidator(_comma_separated)]
Authorities = _Listed[int]
Hosts = _Listed[Annotated[str, AfterValidator(_check_host)]]
Origins = _Listed[Annotated[str, AfterValidator(_check_origin)]]
Networks = _Listed[Annotated[str, AfterValidator(_check_network)]]
Algorithms = _Listed[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]]
Text = str | None
Name = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Texts = Annotated[dict[str, Annotated[str, AfterValidator(clean)]], NoDecode, AfterValidator(_without_blank)]
_DATABASE_FORM: Final = (
    "must be postgresql://user:password@host:port/database, with special characters in the password percent-encoded"
)
_URL_FORM: Final = "must be https://host/path, with special characters in a password percent-encoded"
_BEARER_FORM: Final = "must be the token alone: ASCII without spaces, and without the prefix `Bearer`"
DatabaseUrl = Annotated[SecretStr, _secret(_DATABASE_URL.fullmatch, _DATABASE_FORM)] | None
HttpUrl = Annotated[SecretStr, _secret(is_http_url, _URL_FORM)] | None
BearerToken = Annotated[SecretStr, _secret(_TOKEN.fullmatch, _BEARER_FORM)] | None
Secret = SecretStr | None
FrameAncestors = Annotated[str, Field(pattern=r"^[^;,\s]+( [^;,\s]+)*$")]
File = Annotated[Path, BeforeValidator(_no_content)] | None
Directory = Annotated[Path, BeforeValidator(_no_content), AfterValidator(Path.absolute)]
Header = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$")]
PortRange = Annotated[str, AfterValidator(_check_port_range)]
Port = Annotated[int, BeforeValidator(_own_port)]
