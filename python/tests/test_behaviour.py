"""Holds this package, and that of PyPI, to the table of behaviour.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Proxy

HERE = Path(__file__).parent
OURS = str(HERE.parent / "src")


def run(*arguments: str, path: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return f"{done.stdout}exit code {done.returncode}\n" if done.returncode else done.stdout


def old_package() -> str:
    """Returns where the package of PyPI is, which may be installed next to this one."""
    where = "import discordproxy, importlib.metadata as m; print(m.version('discordproxy'), discordproxy.__path__[0])"
    found = run("-c", where, path="").split()
    # 1.5.0 and 1.5.1 have the same code.
    if found[0] not in ("1.5.0", "1.5.1") or found[1].startswith(OURS):
        pytest.skip("pip install --no-deps discordproxy==1.5.1")
    return str(Path(found[1]).parent)


def test_of_this_package(limited: Proxy) -> None:
    out = run(str(HERE / "behaviour.py"), limited.address, path=OURS)
    assert out.startswith("passed "), out


def test_of_the_package_of_pypi(limited: Proxy) -> None:
    out = run(str(HERE / "behaviour.py"), limited.address, "old", path=old_package())
    assert out.startswith("passed "), out


@pytest.mark.parametrize(
    ("arguments", "code", "out"),
    [
        (("direct", "1100000000000000004", "hi"), 0, "Message sent\n"),
        (("channel", "1100000000000000010", "hi"), 0, "Message sent\n"),
        (("channel", "42", "hi"), 1, "Unknown Channel"),
        (("channel", "x", "hi"), 2, "recipient_id"),
        (("channel", "42"), 2, "content"),
        (("user", "42", "hi"), 2, "user"),
        (("--help",), 0, "--host"),
    ],
)
@pytest.mark.parametrize("package", ["ours", "old"])
def test_message_command(proxy: Proxy, package: str, arguments: tuple[str, ...], code: int, out: str) -> None:
    path = OURS if package == "ours" else old_package()
    host, _, port = proxy.address.rpartition(":")
    got = run("-c", "from discordproxy._cli import main; main()", "--host", host, "--port", port, *arguments, path=path)
    assert out in got
    assert ("exit code" not in got) if code == 0 else got.endswith(f"exit code {code}\n"), got
