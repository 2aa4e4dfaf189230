"""The page for operators agrees with the code: example, options, profiles and warnings."""

import json
import re

import pytest

from algoplatform.manifests.gpu.profiles import SHIPPED, Profile, parse_profiles
from algoplatform.manifests.options import OPTIONS, Options, parse_options
from algoplatform.manifests.rendering import render
from algoplatform.manifests.yaml import dump_yaml
from tests.support.markdown import ROOT, rows
from tests.support.rendering import target_of

PAGES = [path for name in ("cluster.md", "cluster.zh-CN.md") if (path := ROOT / "docs" / name).exists()]
EVERY_PAGE = pytest.mark.parametrize(
    "page", [path.read_text("utf-8") for path in PAGES], ids=[path.name for path in PAGES]
)


def table(page: str, size: int, number: int) -> list[list[str]]:
    """Return the rows of the table with this number among the tables with `size` columns."""
    tables = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    fitting = [found for text in tables if len((found := rows(text))[0]) == size]
    return [list(row) for row in fitting[number]]


def table_or_nothing(page: str, number: int) -> list[list[str]]:
    """Return a table of three columns, or an empty list if there are fewer tables."""
    try:
        return table(page, 3, number)
    except IndexError:
        return []


def named(cell: str) -> list[str]:
    """Return the words that a cell marks as code."""
    return re.findall("`([^`]+)`", cell)


@EVERY_PAGE
def test_example(page: str) -> None:
    """The record on the page renders to the YAML beside it, byte for byte."""
    record, file, *_ = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    [shown] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    found = render([target_of(json.loads(record))], Options())
    assert b"".join(dump_yaml(found.objects)).decode() == shown
    assert [list(need["keys"]) for need in found.needs] == [["etc_fdfs_client.conf"]]
    assert list(parse_profiles(file.encode())) == ["aliyun", "nvidia-mps", "mig"]


@EVERY_PAGE
def test_options(page: str) -> None:
    """The table lists every option in order, with its values and its default."""
    shown = table(page, 4, 0)
    assert [named(name) for name, *_ in shown] == [[option.name] for option in OPTIONS]
    for option, (_, values, default, meaning) in zip(OPTIONS, shown, strict=True):
        assert meaning
        if option.allowed:
            assert named(values) == list(option.allowed)
        given = {option.name: next(iter(named(default)), None)}
        assert parse_options(given, SHIPPED) == Options()
        assert bool(named(default)) == (option.default not in (None, ()))


@EVERY_PAGE
def test_profiles(page: str) -> None:
    """The table lists every shipped profile with its resources; every key of a profile row is documented."""
    tables = filter(None, (table_or_nothing(page, number) for number in range(9)))
    [profiles] = [found for found in tables if named(found[0][0]) == ["hami"]]
    assert [named(name)[0] for name, *_ in profiles] == list(SHIPPED)
    for name, _, asked in profiles:
        profile = SHIPPED[named(name)[0]]
        for resource in filter(None, (profile.count, profile.core if profile.name == "hami" else None)):
            assert any(word.startswith(resource) for word in named(asked)), resource
    keys = {field.alias or name for name, field in Profile.model_fields.items()}
    assert keys <= {key for row in rows(page) for key in named(row[0])}


@EVERY_PAGE
def test_warnings(page: str) -> None:
    """The page lists every rule that rendering itself reports."""
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src/algoplatform/manifests").glob("*.py"))
    rules = set(re.findall(r'(?:warn\(|Finding\()"([a-z-]+)"', source))
    shown = {
        named(row[0])[0] for number in range(9) for row in table_or_nothing(page, number) if len(named(row[0])) == 1
    }
    assert rules
    assert rules <= shown
