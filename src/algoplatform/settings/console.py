"""The settings of the console."""

from pydantic_settings import BaseSettings, SettingsConfigDict

from algoplatform.environment import FrameAncestors, HttpUrl, Secret, Text
from algoplatform.settings.options import PREFIX, SettingsError


class ConsoleSettings(BaseSettings):
    """Whether there is a console, and how people log in to it."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    console: bool = True
    """the pages for people below /console; set it to false to serve the API alone"""
    console_frame_ancestors: FrameAncestors = "none"
    """none, self or the origins whose pages may show the console in a frame (CSP frame-ancestors), separated
    by spaces; set it to embed the console in a portal"""
    oidc_authorize_url: HttpUrl = None
    """URL at which people log in to the console (OpenID Connect, authorization code with PKCE); set it with
    auth=token, otherwise they paste a token"""
    oidc_token_url: HttpUrl = None
    """URL at which the console exchanges the code for a token; set it with oidc_authorize_url"""
    oidc_client_id: Text = None
    """client id of the console at the identity provider; likewise"""
    oidc_client_secret: Secret = None
    """client secret of the console; set it if the identity provider gave one"""

    @property
    def has_login(self) -> bool:
        """Whether people log in to the console at an identity provider."""
        return self.oidc_authorize_url is not None

    def check_login(self) -> None:
        """Raise SettingsError if the settings of the console's login are incomplete."""
        needed = {
            "OIDC_AUTHORIZE_URL": self.oidc_authorize_url,
            "OIDC_TOKEN_URL": self.oidc_token_url,
            "OIDC_CLIENT_ID": self.oidc_client_id,
        }
        missing = [PREFIX + name for name, value in needed.items() if value is None]
        if 0 < len(missing) < len(needed):
            raise SettingsError(f"the console's login also needs {' and '.join(missing)}")
