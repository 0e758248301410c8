"""Runs tests and writes what came of each as JSON to the file RESULTS."""

import json
import os
import unittest
from importlib import metadata
from pathlib import Path

import discordproxy
from django.test.runner import DiscoverRunner
from packaging.requirements import Requirement

APPS = ("aa-discordnotify", "aa-freight", "aa-mailrelay", "aa-srp")


class Result(unittest.TextTestResult):
    """Notes the outcome of each test."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.outcomes = {}

    def startTest(self, test):
        super().startTest(test)
        self.outcomes[test.id()] = "passed"

    def addError(self, test, err):
        super().addError(test, err)
        self.outcomes[test.id()] = "error"

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.outcomes[test.id()] = "failed"

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.outcomes[test.id()] = "failed"

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcomes[test.id()] = "skipped"

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.outcomes[test.id()] = "failed as expected"

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.outcomes[test.id()] = "passed unexpectedly"


class Runner(DiscoverRunner):
    """Django's own runner, with the outcomes."""

    def get_resultclass(self):
        return Result

    def suite_result(self, suite, result, **kwargs):
        Path(os.environ["RESULTS"]).write_text(
            json.dumps(
                {
                    "Folder": os.path.dirname(discordproxy.__path__[0]),
                    "Version": metadata.version("discordproxy"),
                    "Refusing": refusing(metadata.version("discordproxy")),
                    "Outcomes": result.outcomes,
                }
            )
        )
        return super().suite_result(suite, result, **kwargs)


def refusing(version):
    """Returns the apps whose requirements this version of discordproxy does not meet."""
    wanted = [(app, Requirement(line)) for app in APPS for line in metadata.requires(app) or ()]
    return [app for app, want in wanted if want.name == "discordproxy" and version not in want.specifier]
