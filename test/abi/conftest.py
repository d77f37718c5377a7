"""Says which toolkits the declarations are compared with."""

import os
from pathlib import Path

import toolkit

BUILD = (Path(__file__).resolve().parents[2] / os.environ.get("BUILD", "build")).resolve()


def pytest_report_header():
    found = toolkit.find(BUILD, os.environ.get("CC", "cc"))
    return ["compared with: %s in %s" % (each, each.folder) for each in found]
