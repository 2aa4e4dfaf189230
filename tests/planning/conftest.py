"""Fixtures of the planning tests."""

from tests.domain.conftest import cost

__all__ = ["cost"]
