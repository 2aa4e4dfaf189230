"""Fixtures of the registries: a real one, its images, and a client."""

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
    """A real registry without authentication; each test uses names of its own."""
    served = Registry(tmp_path_factory.mktemp("registry"))
    with served.running():
        yield served
