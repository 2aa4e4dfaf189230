"""Collects ALGOPLATFORM_RENDER_*, the defaults of the options of rendering.

The options are named in `manifests`, which settings do not import: the composition root checks names and values.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from algoplatform.environment import Texts, is_service_link

PREFIX: Final = "ALGOPLATFORM_"
RENDER: Final = f"{PREFIX}RENDER_"


class SettingsError(Exception):
    """A setting is wrong or missing; the message is one line that names it."""


class RenderOptions(PydanticBaseSettingsSource):
    """Reads the options, in lower case without the prefix, from the environment and the directory of secrets."""

    def __init__(self, settings_cls: type[BaseSettings], files: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._folder: Path | None = getattr(files, "secrets_dir", None)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - overridden
        """Return nothing: the options are one field, which `__call__` reads."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the options; the environment wins over files."""
        found = {name.upper(): text for name, text in (*self._files(), *os.environ.items())}
        options = {
            name.removeprefix(RENDER).lower(): text
            for name, text in found.items()
            if name.startswith(RENDER) and not is_service_link(name, text)
        }
        return {"render": options} if options else {}

    def _files(self) -> Iterator[tuple[str, str]]:
        if self._folder is not None:
            for path in Path(self._folder).iterdir():
                if path.name.upper().startswith(RENDER) and path.is_file():
                    yield path.name, path.read_text("utf-8").strip()


class WithRenderOptions(BaseSettings):
    """The field that holds these options: it has no variable of its own."""

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
        return init_settings, env_settings, file_secret_settings, RenderOptions(settings_cls, file_secret_settings)
