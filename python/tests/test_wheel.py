"""Installs the wheel into a clean environment and runs the README's examples."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from conftest import Proxy

PYTHON = Path(__file__).parents[1]
LEAST = ("grpcio==1.75.1", "protobuf==6.31.1")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(PYTHON))
    (built,) = out.iterdir()
    return str(built)


def run(*command: str, text: str | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("pins", [(), LEAST], ids=["newest", "least"])
def test_examples(proxy: Proxy, wheel: str, pins: tuple[str, ...], tmp_path: Path) -> None:
    venv.create(tmp_path)
    python = str(tmp_path / "bin" / "python")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", "--only-binary=:all:", wheel, *pins)
    installed = {line.partition("==")[0] for line in run(*pip, "list", "--format=freeze").split()}
    assert installed == {"discordproxy", "grpcio", "protobuf", "typing_extensions"}

    blocks = re.findall(r"```python\n(.*?)```", (PYTHON / "README.md").read_text(), re.DOTALL)
    printed = [run(python, "-", text=block.replace("localhost:50051", proxy.address)) for block in blocks]
    assert printed[0].splitlines()[0].endswith(" hello again")
    assert printed[0].splitlines()[-1] == "refused"
    assert proxy.contents() == ["hello again", "hello"]

    host, _, port = proxy.address.rpartition(":")
    command = str(tmp_path / "bin" / "discordproxymessage")
    sent = run(command, "--host", host, "--port", port, "channel", "1100000000000000010", "hi")
    assert sent == "Message sent\n"
