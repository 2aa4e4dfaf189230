"""Fixtures of the registry tests: a real registry and an OCI layout for its images."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.oci import Layout
from tests.support.registry import Registry


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty OCI layout."""
    return Layout(tmp_path / "layout")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real registry without authentication, shared by a module; each test uses its own image names."""
    served = Registry(tmp_path_factory.mktemp("registry"))
    with served.running():
        yield served
