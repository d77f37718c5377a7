"""Runs a client's own tests inside the client's environment; prints one line for each.

    python outcomes.py unittest|pytest OUT WITHOUT NAME...

NAME is what the framework calls a module, a class, a file or a test; WITHOUT are ends of names of
tests to be left out, separated by commas. OUT gets lines of outcome, test and, for those that did
not pass, the last line of the reason, separated by tabs.
"""

import sys
import unittest


class Outcomes:
    """Writes each test's outcome at once: what ran before a crash is known."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")

    def add(self, outcome, test, reason=""):
        lines = str(reason).strip().splitlines()
        last = lines[-1].strip().replace("\t", " ") if lines else ""
        print(outcome, test, last, sep="\t", file=self.file, flush=True)


class UnittestResult(unittest.TestResult):
    """Hands the results of the standard library's test framework to Outcomes. A test with subtests
    has failed when one of them has."""

    def __init__(self, outcomes):
        super().__init__()
        self.outcomes = outcomes
        self.failed_parts = set()

    def addSuccess(self, test):
        if test.id() not in self.failed_parts:
            self.outcomes.add("passed", test.id())

    def addFailure(self, test, error):
        if error[0].__name__ == "Skipped":  # pytest's, raised by a test of this framework
            self.addSkip(test, error[1])
        else:
            self.outcomes.add("failed", test.id(), "%s: %s" % (error[0].__name__, error[1]))

    addError = addFailure

    def addSkip(self, test, reason):
        self.outcomes.add("skipped", test.id(), reason)

    def addExpectedFailure(self, test, error):
        self.outcomes.add("passed", test.id(), "failed as its authors expect")

    def addUnexpectedSuccess(self, test):
        self.outcomes.add("failed", test.id(), "passed against its authors' expectation")

    def addSubTest(self, test, subtest, error):
        if error is not None and test.id() not in self.failed_parts:
            self.failed_parts.add(test.id())
            self.addFailure(test, error)


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def run_unittest(outcomes, without, names):
    loaded = unittest.defaultTestLoader.loadTestsFromNames(names)
    suite = unittest.TestSuite(t for t in flat(loaded) if not t.id().endswith(without))
    suite.run(UnittestResult(outcomes))


class PytestPlugin:
    """Hands pytest's results to Outcomes; a test's set-up and tear-down count as the test."""

    def __init__(self, outcomes, without):
        self.outcomes, self.without = outcomes, without

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if not item.nodeid.endswith(self.without)]

    def pytest_runtest_logreport(self, report):
        if report.when != "call" and report.passed:
            return
        reason = ""
        if report.skipped:
            text = getattr(report, "wasxfail", None) or report.longrepr
            reason = text[-1] if isinstance(text, tuple) else text
        elif report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = crash.message.splitlines()[0] if crash else report.longrepr
        self.outcomes.add(report.outcome, report.nodeid.split("/")[-1], reason)

    def pytest_collectreport(self, report):
        if report.failed:
            self.outcomes.add("failed", report.nodeid.split("/")[-1], report.longrepr)


def run_pytest(outcomes, without, names):
    import pytest

    options = ["-q", "-p", "no:cacheprovider", "--tb=short"]
    pytest.main([*options, *names], plugins=[PytestPlugin(outcomes, without)])


def main():
    framework, path, without, *names = sys.argv[1:]
    run = {"unittest": run_unittest, "pytest": run_pytest}[framework]
    # An empty end would leave out all.
    run(Outcomes(path), tuple(filter(None, without.split(","))), names)


if __name__ == "__main__":
    main()
