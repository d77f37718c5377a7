"""Fixtures of the tests with other people's tools: those of the end-to-end tests."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

spec = importlib.util.spec_from_file_location("e2e_fixtures", ROOT / "test/e2e/conftest.py")
e2e = importlib.util.module_from_spec(spec)
spec.loader.exec_module(e2e)

machine = e2e.machine
built_tree = e2e.built_tree
