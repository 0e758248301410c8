"""Compares the names of this package with those of the package of PyPI, and runs the tests in that one with this."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from test_behaviour import HERE, OURS, old_package, run

# The tests of the old server, which need it and py-cord.
LEFT_OUT = {
    "discordproxy.tests.stubs",
    "discordproxy.tests.test_api",
    "discordproxy.tests.test_cli",
    "discordproxy.tests.test_client",
    "discordproxy.tests.test_config",
    "discordproxy.tests.test_end2end",
    "discordproxy.tests.test_exceptions",
    "discordproxy.tests.test_helpers",
    "discordproxy.tests.test_server",
}


def surface(path: str) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(run(str(HERE / "surface.py"), path=path)))


def differences(where: str, old: Any, new: Any) -> list[str]:
    """Returns in what a name of this package is less than the old one."""
    if old is None:
        return []
    if new is None or old["kind"] != new["kind"]:
        return [f"{where} is {new and new['kind']}, not {old['kind']}"]
    found: list[str] = []
    if not all(new.get("fields", {}).get(name) == field or isinstance(field, dict) for name, field in old.get("fields", {}).items()):
        found.append(f"{where}: fields {old['fields']}, not {new['fields']}")
    for name, field in old.get("fields", {}).items():
        if isinstance(field, dict):
            inner = [{"kind": "message", "fields": of["fields"].get(name, {})} for of in (old, new)]
            found += differences(f"{where}.{name}", *inner)
    if missing := set(old.get("bases", ())) - set(new.get("bases", ())):
        found.append(f"{where} lacks the bases {missing}")
    if old.get("is") != new.get("is"):
        found.append(f"{where} is {new.get('is')}, not {old.get('is')}")
    found += calls(where, old.get("signature"), new.get("signature"))
    for name, (kind, signature) in old.get("attributes", {}).items():
        there, now = new["attributes"].get(name, (None, None))
        if there != kind:
            found.append(f"{where}.{name} is {there}, not {kind}")
        found += calls(f"{where}.{name}", signature, now)
    return found


def calls(where: str, old: list[Any] | None, new: list[Any] | None) -> list[str]:
    """Returns a signature that does not take all that the old one takes."""
    if old is None:
        return []
    if new is not None and new[: len(old)] == old and all(default is not None for _, _, default in new[len(old) :]):
        return []
    return [f"{where}{new}, not {old}"]


def test_each_name_of_the_package_of_pypi() -> None:
    old, new = surface(old_package()), surface(OURS)
    assert set(old) - set(new) == LEFT_OUT
    found: list[str] = []
    compared = 0
    for module, names in old.items():
        if module in LEFT_OUT:
            continue
        for name, described in names.items():
            compared += 1
            found += differences(f"{module}.{name}", described, new[module].get(name))
    assert not found, "\n".join(found)
    assert compared > 50


def test_star_imports_bring_the_same_names() -> None:
    for module in ("client", "exceptions", "helpers", "tests.factories", "tests.helpers"):
        names = f"from discordproxy.{module} import *; import types; print(*(n for n, v in dict(globals()).items() if n[0] != '_' and not isinstance(v, types.ModuleType)))"
        old, new = (set(run("-c", names, path=path).split()) for path in (old_package(), OURS))
        assert old <= new, (module, old - new)


def test_what_is_left_out_is_documented() -> None:
    page = (HERE.parents[1] / "docs" / "migration.md").read_text()
    assert {f"discordproxy.tests.{name}" for name in re.findall(r"`(?:discordproxy\.tests\.)?(stubs|test_\w+)`", page)} == LEFT_OUT


RUN_TESTS = """
import importlib.util, sys, unittest
import discordproxy.tests
folder, *names = sys.argv[1:]
suite = unittest.TestSuite()
for name in names:
    spec = importlib.util.spec_from_file_location(f"discordproxy.tests.{name}", f"{folder}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
result = unittest.TextTestRunner(sys.stdout, verbosity=2, buffer=True).run(suite)
print("ran", result.testsRun, "of", discordproxy.tests.__path__[0], "skipped", len(result.skipped))
sys.exit(not result.wasSuccessful())
"""


@pytest.mark.parametrize("module", ["test_client", "test_exceptions", "test_helpers"])
def test_tests_in_the_package_of_pypi(module: str) -> None:
    tests = str(Path(old_package()) / "discordproxy" / "tests")
    last = [run("-c", RUN_TESTS, tests, module, path=path).splitlines()[-1].split() for path in (old_package(), OURS)]
    (_, by_old, _, old, *skipped), (_, by_new, _, new, *_) = last
    assert skipped == ["skipped", "0"]
    assert int(by_old) == int(by_new) > 0
    assert (Path(old), Path(new)) == (Path(tests), Path(OURS, "discordproxy", "tests"))
