"""`openapi` and `settings` describe the service."""

import json

import pytest

from tests.cli.conftest import Call


async def test_openapi_needs_no_database(cli: Call) -> None:
    """The document is JSON on stdout and lists the six operations."""
    result = await cli("openapi", DATABASE_URL="postgresql://nobody@192.0.2.1/none")
    assert result.exit_code == 0
    paths = json.loads(result.stdout)["paths"]
    for operation in ("_register", "_search", "_update", "_delete", "_load", "_upload"):
        assert f"/algoPlatform/images/{operation}" in paths


async def test_settings(cli: Call) -> None:
    """Every setting is shown with its value, passwords masked."""
    result = await cli("settings", DATABASE_URL="postgresql://u:hunter2@db/x", NODE_PORT_RANGE="31000-31999")
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert "ALGOPLATFORM_NODE_PORT_RANGE=31000-31999\n" in result.output
    assert "（默认值：30000-32767）" in result.output
    listed = await cli("settings", "--json", JWKS_URL="https://u:hunter2@id.example/keys")
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows["ALGOPLATFORM_JWKS_URL"]["value"] == "https://***@id.example/keys"
    assert rows["ALGOPLATFORM_PORT"]["default"] == "8000"
    assert all(row["description"] for row in rows.values())


@pytest.mark.parametrize("columns", ["60", "80", "200"])
async def test_settings_on_terminals(cli: Call, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The description of a setting is wrapped at the terminal's width."""
    monkeypatch.setenv("COLUMNS", columns)
    purposes = [line for line in (await cli("settings")).output.splitlines() if line.startswith(" ")]
    assert 40 < max(map(len, purposes)) <= int(columns)
