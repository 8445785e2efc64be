"""Mutants of mounts, devices, users, capabilities and the order of a plan."""

from __future__ import annotations

from . import Mutant

MUTANTS: list[Mutant] = []
