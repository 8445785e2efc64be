"""Mutants of control groups and of the life of a container."""

from __future__ import annotations

from . import Mutant

MUTANTS: list[Mutant] = []
