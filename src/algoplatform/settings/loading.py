"""Loads the settings from the environment and from files of secrets, and describes them."""

import os
from pathlib import Path
from typing import Any, Final

import pydantic_settings
from pydantic import SecretStr, ValidationError

from algoplatform.environment import clean, is_link_value, is_service_link, masked
from algoplatform.settings.model import Settings
from algoplatform.settings.options import PREFIX, RENDER, SettingsError

SECRETS_DIR: Final = f"{PREFIX}SECRETS_DIR"


def load(**given: Any) -> Settings:
    """Load the settings; `given` ones take precedence. Raises SettingsError for the first wrong one."""
    secrets = _secrets_dir()
    if secrets and not Path(secrets).is_dir():
        raise SettingsError(f"{SECRETS_DIR}: is not a directory")
    try:
        return Settings(_secrets_dir=secrets, **given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # The location of a rendering option is its name below `render`, the field that holds all of them.
        name = "_".join(map(str, first["loc"][: 2 if first["loc"][:1] == ("render",) else 1])).upper()
        raise SettingsError(f"{PREFIX}{name}: {first['msg'].removeprefix('Value error, ')}") from None
    except OSError as error:
        raise SettingsError(f"{SECRETS_DIR}: {error.strerror}") from None
    except (pydantic_settings.SettingsError, UnicodeDecodeError):
        raise SettingsError(f"{SECRETS_DIR}: a file in it cannot be read, or is not UTF-8") from None


def _secrets_dir() -> str | None:
    try:
        return clean(os.environ.get(SECRETS_DIR, "")) or None
    except ValueError as error:
        raise SettingsError(f"{SECRETS_DIR}: {error}") from None


def unknown() -> list[str]:
    """Return variables that look like settings but are not; unknown rendering options prevent the start instead."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {SECRETS_DIR}
    ours = {name: value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    return sorted(
        name
        for name, value in ours.items()
        if name.upper() not in known and not name.upper().startswith(RENDER) and not is_service_link(name, value)
    )


def ignored() -> list[str]:
    """Return variables set by Kubernetes for a Service that have the name of a setting."""
    return sorted(
        name for name, value in os.environ.items() if name.upper() == f"{PREFIX}PORT" and is_link_value(value)
    )


def describe(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Return variable, value (secrets masked), default and purpose of each setting."""
    rows = [
        (
            PREFIX + name.upper(),
            _shown(getattr(settings, name), is_url=name == "jwks_url"),
            _shown(field.get_default(call_default_factory=True, validated_data={})),
            " ".join((field.description or "").split()),
        )
        for name, field in Settings.model_fields.items()
        if name != "render"
    ]
    purpose = "directory with files named like these variables, for secrets"
    return [*rows, (SECRETS_DIR, _secrets_dir() or "", "", purpose)]


def _shown(value: object, *, is_url: bool = False) -> str:
    if is_url and isinstance(value, SecretStr):
        return masked(value.get_secret_value())
    if isinstance(value, frozenset):
        return ",".join(map(str, sorted(value)))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)
