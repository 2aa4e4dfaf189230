"""Edges in the database compared to the dependencies named in records."""

import asyncpg

from algoplatform.domain.grammar.dependencies import Dependencies

Edge = tuple[str, str]

_RECORDS = """
    SELECT image_name || ':' || image_tag, record::json ->> 'dependencyServiceId'
    FROM image WHERE live AND record::json ->> 'dependencyServiceId' IS NOT NULL
"""
_EDGES = """
    SELECT dependent.image_name || ':' || dependent.image_tag, dependency.image_name || ':' || dependency.image_tag
    FROM image_dependency
    JOIN image AS dependent ON dependent.image_id = dependent_id
    JOIN image AS dependency ON dependency.image_id = dependency_id
    WHERE {}
"""


async def drift(aside: asyncpg.Connection) -> tuple[set[Edge], set[Edge]]:
    """Return the missing edges that live records name, and the edges that no live record names."""
    named = {
        (image, str(item))
        for image, needs in await aside.fetch(_RECORDS)
        for item in Dependencies.parse(needs).items
        if str(item) != image
    }
    there = set(map(tuple, await aside.fetch(_EDGES.format("dependent.live AND dependency.live"))))
    dead = set(map(tuple, await aside.fetch(_EDGES.format("NOT (dependent.live AND dependency.live)"))))
    return named - there, (there - named) | dead
