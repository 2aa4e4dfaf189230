"""Fixtures of the tests of use cases."""

from collections.abc import AsyncIterator

import pytest

from algoplatform.runtime import Runtime
from tests.support.service import settings_for


@pytest.fixture
async def runtime(database_url: str) -> AsyncIterator[Runtime]:
    """The use cases on the test's own database."""
    async with Runtime.open(settings_for(database_url)) as opened:
        yield opened
