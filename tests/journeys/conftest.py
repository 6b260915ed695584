"""Fixtures that whole journeys share with the tests of a room."""

from __future__ import annotations

from tests.bench.builder.conftest import served, write_spec

__all__ = ["served", "write_spec"]
