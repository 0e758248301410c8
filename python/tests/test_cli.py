"""The command: where it finds the proxy, its key and TLS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Proxy

from discordproxy._cli import main

MESSAGE = ("channel", "1100000000000000010", "hi")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    if shutil.which("openssl") is None:
        pytest.skip("apt-get install openssl")
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def test_key_and_tls(
    binary: str,
    certificate: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cert, cert_key = certificate
    made = json.loads(subprocess.check_output([binary, "key", "new", "--name", "shop", "--json"]))
    key = made["key"]
    auth, key_file = tmp_path / "auth.yaml", tmp_path / "key"
    auth.write_text("clients:\n" + made["entry"])
    key_file.write_text(key + "\n")
    proxy = Proxy(binary, tmp_path, "--auth-file", str(auth), "--tls-cert", cert, "--tls-key", cert_key)
    try:
        host, _, port = proxy.address.rpartition(":")
        address = ("--host", host, "--port", port)
        main([*address, *MESSAGE, "--tls-ca", cert, "--key-file", str(key_file)])
        with pytest.raises(SystemExit, match="a key is required"):
            main([*address, *MESSAGE, "--tls-ca", cert])
        with pytest.raises(SystemExit, match="certificate|SSL|handshake"):
            main([*address, *MESSAGE, "--tls", "--key-file", str(key_file)])
        with pytest.raises(SystemExit, match="none"):
            main([*address, *MESSAGE, "--tls-ca", cert, "--key-file", str(tmp_path / "none")])

        monkeypatch.setenv("DISCORDPROXY_TLS_CA", cert)
        monkeypatch.setenv("DISCORDPROXY_KEY", key)
        main([*address, *MESSAGE])
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main(["--help"])
        assert key not in capsys.readouterr().out
        assert proxy.contents() == ["hi", "hi"]
    finally:
        proxy.stop()


def test_address_of_variables(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, port = proxy.address.rpartition(":")
    monkeypatch.setenv("DISCORDPROXY_PORT", port)
    for host in ("127.0.0.1", "0.0.0.0", ""):
        monkeypatch.setenv("DISCORDPROXY_HOST", host)
        main(MESSAGE)
    # Flags come first.
    monkeypatch.setenv("DISCORDPROXY_HOST", "nowhere.invalid")
    main(["--host", "localhost", *MESSAGE])
    monkeypatch.setenv("DISCORDPROXY_PORT", "1")
    with pytest.raises(SystemExit, match="UNAVAILABLE"):
        main(["--host", "127.0.0.1", *MESSAGE])
    main(["--host", "127.0.0.1", "--port", port, *MESSAGE])
    with pytest.raises(SystemExit, match="::1"):
        main(["--host", "::", *MESSAGE])
    assert proxy.contents() == ["hi"] * 5

    monkeypatch.setenv("DISCORDPROXY_PORT", "x")
    with pytest.raises(SystemExit, match="2"):
        main(MESSAGE)
    assert "--port" in capsys.readouterr().err


def test_hands_over(tmp_path: Path) -> None:
    script, release = tmp_path / "script", tmp_path / "release"
    for folder in (script, release):
        folder.mkdir()
    (script / "discordproxymessage").write_text("#!/bin/sh\necho the script of the package\n")
    shutil.copy(shutil.which("echo") or "/bin/echo", release / "discordproxymessage")
    (script / "discordproxymessage").chmod(0o755)

    def run(path: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
        folders = [str(script), *([str(path)] if path else [])]
        return subprocess.run(
            [sys.executable, "-c", "from discordproxy._cli import main; main()", *arguments],
            env={**os.environ, "PATH": os.pathsep.join(folders)},
            capture_output=True,
            text=True,
        )

    for arguments in (("guilds",), ("--host", "direct", "status", "--watch"), ("help",)):
        done = run(release, *arguments)
        assert (done.returncode, done.stdout) == (0, " ".join(arguments) + "\n")
    done = run(None, "guilds")
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR: the Python package's discordproxymessage has only direct and channel")
    # The commands of the package stay its own.
    assert run(release, "--port", "x", *MESSAGE).returncode == 2
    assert "usage:" in run(release, "--help").stdout
