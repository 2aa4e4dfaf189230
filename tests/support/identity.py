"""A small identity provider on another loopback address: authorization code flow with PKCE."""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from tests.support.tokens import SETTINGS, jwk, token

CLIENT, SECRET = "console", "s3cret: äöü"


class Identity:
    """Logs everyone in at once; `claims` are added to the tokens, which are signed with the key `kid`."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.kid = "first"
        self.refuses = False
        self.answers: bytes | None = None
        self.encoding = ""
        self.url = ""
        self.asked: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """The service's settings for this provider."""
        return SETTINGS | {
            "jwks_url": f"{self.url}/jwks",
            "oidc_authorize_url": f"{self.url}/authorize?tenant=a",
            "oidc_token_url": f"{self.url}/token",
            "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET,
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Return the redirect of the login page."""
        self.asked.append(asked)
        if self.refuses:
            return f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': asked['state']})}"
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, bytes]:
        """Return a token for a code, once, if client, redirect URL and code verifier match the login."""
        begun = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if (
            begun is None
            or begun["code_challenge"] != base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            or begun["redirect_uri"] != form["redirect_uri"]
            or authorization != f"Basic {basic}"
        ):
            return 400, b'{"error": "invalid_grant"}'
        if self.answers is not None:
            return 200, self.answers
        return 200, json.dumps({"access_token": token(self.kid, **self.claims), "token_type": "Bearer"}).encode()


@contextmanager
def identity_provider() -> Iterator[Identity]:
    """Run an identity provider on a free port of 127.0.0.2."""
    provider = Identity()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, status: int, body: bytes = b"", location: str = "") -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            if provider.encoding and self.command == "POST":
                self.send_header("Content-Encoding", provider.encoding)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self._answer(302, location=provider.authorize(asked))
            else:
                self._answer(200, json.dumps({"keys": [jwk(provider.kid)]}).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self._answer(*provider.exchange(dict(parse_qsl(body)), self.headers.get("authorization", "")))

        def log_message(self, *given: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.2", 0), Handler)
    server.daemon_threads = True
    provider.url = f"http://127.0.0.2:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
