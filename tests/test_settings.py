"""Settings: what an operator writes into the environment, and what results."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from algoplatform.settings import Settings, SettingsError, describe, ignored, load, unknown


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*(row[0] for row in describe(Settings())), *unknown()):
        monkeypatch.delenv(name, raising=False)


def test_defaults() -> None:
    """The defaults are the quick start: embedded database, loopback, the document's authorities."""
    settings = load()
    assert settings.database_url is None
    assert settings.node_ports == range(30000, 32768)
    assert (settings.platform_authorities, settings.namespace_authorities) == (frozenset({1}), frozenset({2, 3}))
    assert (settings.max_body_bytes, settings.max_upload_bytes) == (1024**2, 256 * 1024**2)
    settings.check_listening()


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every type of value can be given as text."""
    for name, value in {
        "PLATFORM_AUTHORITIES": "1, 7",
        "NAMESPACE_AUTHORITIES": "",
        "NODE_PORT_RANGE": "1-65535",
        "TRUST_GATEWAY": "true",
        "HTTP_STATUS": "always-200",
        "POSTGRES_BIN": "",
        "DATABASE_URL": " ",
    }.items():
        monkeypatch.setenv(f"ALGOPLATFORM_{name}", value)
    settings = load()
    assert settings.platform_authorities == {1, 7}
    assert settings.namespace_authorities == frozenset()
    assert settings.node_ports == range(1, 65536)
    assert settings.trust_gateway
    assert settings.http_status == "always-200"
    assert settings.postgres_bin is None
    assert settings.database_url is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "port"),
        ("PORT", "65536"),
        ("WORKERS", "0"),
        ("POOL_TIMEOUT", "nan"),
        ("POOL_TIMEOUT", "inf"),
        ("NODE_PORT_RANGE", "30000"),
        ("NODE_PORT_RANGE", "2-1"),
        ("NODE_PORT_RANGE", "0-5"),
        ("NODE_PORT_RANGE", "1-99999"),
        ("NODE_PORT_RANGE", "1-9999999999999999999999"),
        ("NODE_PORT_RANGE", "\u0661-5"),
        ("PLATFORM_AUTHORITIES", "one"),
        ("PLATFORM_AUTHORITIES", "[1]"),
        ("HTTP_STATUS", "200"),
        ("AUTH", "none"),
        ("LOG_LEVEL", "loud"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "registry.example, *"),
        ("ALLOWED_HOSTS", "*.*"),
        ("ALLOWED_HOSTS", "registry.*"),
        ("ALLOWED_HOSTS", "https://registry.example"),
        ("ALLOWED_HOSTS", "registry.example/"),
        ("ALLOWED_HOSTS", "::1"),
        ("ALLOWED_HOSTS", '"a.example", "b.example"'),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "ui.example"),
        ("CORS_ORIGINS", "https://ui.example/"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("ROOT_PATH", "nodes"),
        ("ROOT_PATH", "/nodes/"),
        ("DATA_DIR", "{"),
        ("DATABASE_URL", "mysql://user:hunter2@db/x"),
        ("DATABASE_URL", "postgresql://user:hunter2/x@db/x"),
        ("DATABASE_URL", "postgresql://user:hunter2#x@db/x"),
        ("DATABASE_URL", "postgresql://db:port/x"),
        ("DATABASE_URL", "postgresql://[::1/x"),
        ("JWKS_URL", "id.example/jwks"),
        ("JWKS_URL", "http://["),
        ("JWKS_URL", "https://"),
        ("JWKS_URL", "https://id.example:port/jwks"),
        ("JWKS_URL", "https://id.example/jw ks"),
        ("JWKS_URL", "https://id.example/jw\tks"),
        ("JWKS_URL", "https:id.example/jwks"),
        ("JWKS_URL", "https://user:hunter2@id.example:port/jwks"),
        ("JWKS_URL", "https://user:hunter2@[::1/jwks"),
        ("JWKS_URL", "https://user:hunter2@id.example/jw\nks"),
        ("DATABASE_URL", "postgresql://user:hunter2@db\n/x"),
        ("DATABASE_URL", "postgresql://user:hunter2@db/x\udcff"),
        ("TOKEN", "hunter2\nhunter2"),
        ("TOKEN", "hunter2\rhunter2"),
        ("TOKEN", "hunter2 hunter2"),
        ("TOKEN", "Bearer hunter2"),
        ("TOKEN", "hunter2令牌"),
        ("TOKEN", "hunter2\udce9"),
        ("KEY_FILE", "-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----\n"),
        ("KEY_FILE", "-----BEGIN PUBLIC KEY----- hunter2"),
        ("KEY_FILE", '{"keys": [{"k": "hunter2"}]}'),
        ("HOST", "127.0.0.1\n#"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ],
)
def test_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """An invalid value is one line that names the variable and hides a secret."""
    monkeypatch.setenv(f"ALGOPLATFORM_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load()
    message = str(caught.value)
    assert message.startswith(f"ALGOPLATFORM_{name}: ")
    assert "\n" not in message
    assert "hunter2" not in message
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("blank", ["", " ", '""', " '' \n"])
@pytest.mark.parametrize("name", Settings.model_fields)
def test_blank_is_unset(monkeypatch: pytest.MonkeyPatch, name: str, blank: str) -> None:
    """A blank value is the default, whatever the type; but no authorities are none."""
    default = getattr(load(), name)
    monkeypatch.setenv(f"ALGOPLATFORM_{name.upper()}", blank)
    assert getattr(load(), name) == (frozenset() if name.endswith("_authorities") else default)


@pytest.mark.parametrize("name", Settings.model_fields)
@pytest.mark.parametrize(
    "value", ["hunter2\a", "hunter2\udcff", "hunter2://user:hunter2@", "{hunter2", "tcp://hunter2"]
)
def test_no_value_in_messages(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """No message quotes the value of a setting, as it may be a secret."""
    monkeypatch.setenv(f"ALGOPLATFORM_{name.upper()}", value)
    try:
        load()
    except SettingsError as error:
        assert "hunter2" not in str(error)
        assert error.__cause__ is None and error.__suppress_context__
    else:
        assert value.isprintable()


@pytest.mark.parametrize("around", ["{}\n", " {}", "{}\r\n", '"{}"', "'{}'", ' "{} "\n', "\ufeff{}\n"])
def test_stripped(monkeypatch: pytest.MonkeyPatch, around: str) -> None:
    """White space and quotes that files, shells and editors leave around a value are stripped."""
    given = {
        "DATABASE_URL": "postgresql://user:hunter2@db/x",
        "TOKEN": "eyJ.secret.sig",
        "AUTH": "token",
        "HTTP_STATUS": "always-200",
        "TRUST_GATEWAY": "true",
        "NODE_PORT_RANGE": "1-5",
        "PLATFORM_AUTHORITIES": "1,7",
        "ALLOWED_HOSTS": "a.example,b.example",
        "PORT": "8001",
        "POOL_TIMEOUT": "1.5",
        "KEY_FILE": "/etc/key.pem",
        "JWKS_URL": "https://id.example/jwks",
        "LOG_LEVEL": "debug",
    }
    plain = load(**{name.lower(): value for name, value in given.items()})
    for name, value in given.items():
        monkeypatch.setenv(f"ALGOPLATFORM_{name}", around.format(value))
    assert load() == plain
    assert plain.port == 8001


def test_one_pair_of_quotes() -> None:
    """Quotes inside, or on one side only, are part of the value."""
    assert load(token_issuer='"a').token_issuer == '"a'
    assert load(token_issuer="'\"a\"'").token_issuer == '"a"'
    assert load(token_issuer="''").token_issuer is None


LINKS = {
    "ALGOPLATFORM_SERVICE_HOST": "10.96.12.7",
    "ALGOPLATFORM_SERVICE_PORT": "8000",
    "ALGOPLATFORM_SERVICE_PORT_HTTP": "8000",
    "ALGOPLATFORM_PORT": "tcp://10.96.12.7:8000",
    "ALGOPLATFORM_PORT_8000_TCP": "tcp://10.96.12.7:8000",
    "ALGOPLATFORM_PORT_8000_TCP_PROTO": "tcp",
    "ALGOPLATFORM_PORT_8000_TCP_PORT": "8000",
    "ALGOPLATFORM_PORT_8000_TCP_ADDR": "10.96.12.7",
    "ALGOPLATFORM_POSTGRES_PORT": "tcp://10.96.12.8:5432",
    "ALGOPLATFORM_POSTGRES_SERVICE_HOST": "10.96.12.8",
}


def test_service_called_algoplatform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes' Service variables are neither settings nor misspellings; a clash of names is reported."""
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    assert load().port == 8000
    assert load(port=8002).port == 8002
    assert (ignored(), unknown()) == (["ALGOPLATFORM_PORT"], [])
    monkeypatch.setenv("ALGOPLATFORM_PORT", "8001")
    monkeypatch.setenv("ALGOPLATFORM_LISTEN_PORT", "8001")
    assert (ignored(), unknown()) == ([], ["ALGOPLATFORM_LISTEN_PORT"])
    assert load().port == 8001


def test_key_address_is_shown_without_secrets() -> None:
    """`settings` shows the URL of the keys without user, password or query."""
    settings = load(jwks_url="https://user:hunter2@id.example:8443/jwks?key=hunter2")
    shown = {row[0]: row[1] for row in describe(settings)}["ALGOPLATFORM_JWKS_URL"]
    assert shown == "https://***@id.example:8443/jwks?***"
    assert "hunter2" not in f"{settings!r}{describe(settings)}"


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts and origins are case-insensitive; a host may include its subdomains."""
    monkeypatch.setenv("ALGOPLATFORM_ALLOWED_HOSTS", "Registry.example, *.Example.org, [::1]:8443")
    monkeypatch.setenv("ALGOPLATFORM_CORS_ORIGINS", "https://UI.example")
    assert load().allowed_hosts == {"registry.example", "*.example.org", "[::1]:8443"}
    assert load().cors_origins == {"https://ui.example"}


def test_given_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line takes precedence over the environment."""
    monkeypatch.setenv("ALGOPLATFORM_PORT", "8001")
    assert load().port == 8001
    assert load(port=8002).port == 8002


@pytest.mark.parametrize("around", ["{}", " {}\n", '"{}"'])
def test_secrets_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, around: str) -> None:
    """A mounted secret is read without its final newline, and never shown."""
    (tmp_path / "ALGOPLATFORM_DATABASE_URL").write_text("postgresql://user:hunter2@db/x\n")
    monkeypatch.setenv("ALGOPLATFORM_SECRETS_DIR", around.format(tmp_path))
    settings = load()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://user:hunter2@db/x"
    assert "hunter2" not in repr(settings)
    rows = {row[0]: row for row in describe(settings)}
    assert "hunter2" not in str(rows)
    assert rows["ALGOPLATFORM_DATABASE_URL"][1].strip("*") == ""
    assert rows["ALGOPLATFORM_SECRETS_DIR"][1] == str(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://db",
        "postgresql://u:p%2Fq@db:5432/x?sslmode=require",
        "postgresql+asyncpg://u@db/x",
        "postgresql://u@[::1]:5432/x",
        "postgresql://u@a:1,b:2/x?target_session_attrs=read-write",
        "postgresql:///x?host=/run/postgresql",
        "postgresql://algoplatform@/algoplatform?host=%2Ftmp%2Frun",
    ],
)
def test_database_urls(url: str) -> None:
    """Every form of DSN that libpq accepts and asyncpg supports is accepted."""
    assert load(database_url=url).database_url is not None


def test_secret_that_is_no_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret's file with a wrong encoding is reported by its folder, without its content."""
    (tmp_path / "ALGOPLATFORM_TOKEN").write_bytes("hunter2é".encode("latin-1"))
    monkeypatch.setenv("ALGOPLATFORM_SECRETS_DIR", str(tmp_path))
    with pytest.raises(
        SettingsError, match=r"^ALGOPLATFORM_SECRETS_DIR: a file in it cannot be read, or is not UTF-8$"
    ) as caught:
        load()
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", ["none", "no\nfolder"])
def test_secrets_folder_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """A missing secrets folder is reported, not ignored."""
    monkeypatch.setenv("ALGOPLATFORM_SECRETS_DIR", str(tmp_path / name))
    with pytest.raises(SettingsError, match="ALGOPLATFORM_SECRETS_DIR"):
        load()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_fine(host: str) -> None:
    """Loopback needs no declared gateway, as no remote client can impersonate a user."""
    load(host=host).check_listening()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "registry.example"])
def test_beyond_loopback(host: str) -> None:
    """On any other address the operator has to declare a gateway."""
    with pytest.raises(SettingsError, match="ALGOPLATFORM_TRUST_GATEWAY=true"):
        load(host=host).check_listening()
    load(host=host, trust_gateway=True).check_listening()


def test_frozen() -> None:
    """Settings are immutable."""
    with pytest.raises(ValidationError):
        load().port = 1  # type: ignore[misc]


def test_described() -> None:
    """Each setting has a description, and a default in the form in which it would be written."""
    rows = {row[0]: row for row in describe(load())}
    assert all(row[3] for row in rows.values())
    assert rows["ALGOPLATFORM_NAMESPACE_AUTHORITIES"][1:3] == ("2,3", "2,3")
    assert rows["ALGOPLATFORM_TRUST_GATEWAY"][2] == "false"
    assert rows["ALGOPLATFORM_DATA_DIR"][2].endswith("/algoplatform")


def test_data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The data folder is XDG's, and the system's for root and for users without a home."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert load().data_dir == tmp_path / "algoplatform"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load().data_dir == tmp_path / ".local/share/algoplatform"
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert load().data_dir == Path("/var/lib/algoplatform")


def test_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is found."""
    monkeypatch.setenv("ALGOPLATFORM_PROT", "1")
    monkeypatch.setenv("ALGOPLATFORM_PORT", "1")
    assert unknown() == ["ALGOPLATFORM_PROT"]
