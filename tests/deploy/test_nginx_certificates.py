"""The nginx snippet of docs/deployment.md, run unmodified: client certificates in front of the service."""

import os
import ssl
from pathlib import Path

import httpx

from tests.support.certificates import Authority
from tests.support.images import IMAGES, minimal, upload
from tests.support.markdown import blocks
from tests.support.programs import ROOT, free_port, needs, running
from tests.support.service import serving, settings_for

pytestmark = needs("nginx")


def configuration(folder: Path, authority: Authority, port: int, upstream: int) -> str:
    """Embed the documented server in a complete configuration, with this test's ports and files."""
    [server] = [block.text for block in blocks((ROOT / "docs/deployment.md").read_text()) if block.language == "nginx"]
    certificate, key = authority.issue("server")
    for documented, ours in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "http://127.0.0.1:8000": f"http://127.0.0.1:{upstream}",
        "/etc/nginx/tls/server.crt": certificate,
        "/etc/nginx/tls/server.key": key,
        "/etc/nginx/tls/platform-ca.crt": authority.certificate,
    }.items():
        assert documented in server
        server = server.replace(documented, str(ours))
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    return f"daemon off; pid {folder}/pid; error_log stderr; {user} events {{}}\nhttp {{ access_log off; {places}\n{server}}}\n"


async def test_documented_server(database_url: str, tmp_path: Path) -> None:
    """Only the platform's certificates pass; the history names their subject; same-origin pages may write."""
    authority, port = Authority(tmp_path), free_port()
    settings = settings_for(database_url, actor_header="X-User")
    async with serving(settings) as direct:
        (tmp_path / "nginx.conf").write_text(configuration(tmp_path, authority, port, direct.base_url.port or 0))
        command: list[str | Path] = ["nginx", "-p", tmp_path, "-c", tmp_path / "nginx.conf"]
        with running(command, port, tmp_path / "log"):
            trusting = ssl.create_default_context(cafile=str(authority.certificate))
            base = f"https://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=base, verify=trusting) as stranger:
                assert (await stranger.get(f"{IMAGES}/_search")).status_code == 400
            trusting.load_cert_chain(*authority.issue("alice"))
            async with httpx.AsyncClient(base_url=base, verify=trusting) as client:
                page = {"origin": base, "x-user": "mallory"}
                registered = await client.post(f"{IMAGES}/_register", json=minimal(), headers=page)
                assert registered.status_code == 200, registered.text
                history = (await client.get(f"{registered.headers['location']}/history")).json()
                assert [revision["actor"] for revision in history["res"]["data"]] == ["CN=alice"]
                large = [minimal(f"algo/n{number}", algoDesc="图" * 1300) for number in range(500)]
                assert (await upload(client, large)).json()["res"]["created"] == 500
