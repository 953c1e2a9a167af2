"""Certificates for tests, made by openssl: each its own authority."""

import ssl
import subprocess
from pathlib import Path

_CONFIGURATION = """
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""
_BEGIN = "20200101000000Z"


def self_signed(directory: Path, *, expired: bool = False) -> Path:
    """Make a certificate for 127.0.0.1 with its key; gives the directory of own.pem, key.pem."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ca.cnf").write_text(_CONFIGURATION)
    (directory / "index.txt").touch()
    end = "20200102000000Z" if expired else "20991231000000Z"
    request = (
        "req -new -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=127.0.0.1"
    )
    _openssl(directory, *request.split(), "-addext", "subjectAltName=IP:127.0.0.1")
    signing = (
        "ca -batch -notext -selfsign -config ca.cnf -keyfile key.pem -in request.pem -out own.pem"
    )
    _openssl(directory, *signing.split(), "-startdate", _BEGIN, "-enddate", end)
    return directory


def serving_by(directory: Path) -> ssl.SSLContext:
    """Give what a server needs to show that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "own.pem", directory / "key.pem")
    return context


def _openssl(directory: Path, *words: str) -> None:
    subprocess.run(
        ["openssl", *words],  # noqa: S607 (wherever the system has it)
        cwd=directory,
        check=True,
        capture_output=True,
    )
