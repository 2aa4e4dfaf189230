"""Collects ALGOPLATFORM_RENDER_*, the defaults of the options of rendering.

The package `manifests` defines the options. Settings do not import it: the composition root checks names and values.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from algoplatform.environment import Texts, is_service_link

PREFIX: Final = "ALGOPLATFORM_"
RENDER: Final = f"{PREFIX}RENDER_"


class SettingsError(Exception):
    """A setting is wrong or missing; the message is one line that names it."""


class WithRenderOptions(BaseSettings):
    """The field that holds these options; no single variable sets it."""

    render: Texts = Field({}, description="defaults of rendering, one variable for each option")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the interface's
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        options = _options(getattr(file_secret_settings, "secrets_dir", None))
        found = InitSettingsSource(settings_cls, {"render": options} if options else {})
        return init_settings, env_settings, file_secret_settings, found


def _options(folder: Path | None) -> dict[str, str]:
    """Read the options, by their names in lower case; the environment wins over the directory of secrets."""
    found = {name.upper(): text for name, text in (*_files(folder), *os.environ.items())}
    return {
        name.removeprefix(RENDER).lower(): text
        for name, text in found.items()
        if name.startswith(RENDER) and not is_service_link(name, text)
    }


def _files(folder: Path | None) -> Iterator[tuple[str, str]]:
    for path in Path(folder).iterdir() if folder is not None else ():
        if path.name.upper().startswith(RENDER) and path.is_file():
            yield path.name, path.read_text("utf-8").strip()
