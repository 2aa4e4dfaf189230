"""The wordings of the pages in one language; wording.toml holds them all."""

import tomllib
from importlib.resources import files
from typing import Any, Final

from algoplatform.api.http.accept import wishes_of

LANGUAGES: Final = ("zh", "en")
WORDINGS: Final[dict[str, list[str]]] = tomllib.loads((files(__package__) / "wording.toml").read_text("utf-8"))


def language_of(cookie: str | None, accepted: str) -> str:
    """Return the language of a visitor: that of the cookie, or English if the browser prefers it to Chinese."""
    if cookie in LANGUAGES:
        return cookie
    wanted: dict[str, float] = {}
    for tag, quality in wishes_of(accepted[:1000]).items():
        language = tag.partition("-")[0]
        wanted[language] = max(quality, wanted.get(language, 0))
    # On a tie, the first language wins.
    return max(LANGUAGES, key=lambda language: wanted.get(language, 0))


class Words:
    """The wordings in one language: `words("count", n=3)`."""

    def __init__(self, language: str) -> None:
        self._at = LANGUAGES.index(language)

    def __call__(self, key: str, **values: Any) -> str:
        text = WORDINGS[key][self._at]
        return text.format(**values) if values else text

    def hint(self, name: str) -> str:
        """Return the hint of a field, empty if it needs none."""
        key = f"{name}_hint"
        return self(key) if key in WORDINGS else ""
