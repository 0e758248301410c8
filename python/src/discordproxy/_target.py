"""Distinguishes local gRPC targets from others."""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote

# Schemes of sockets that do not use the network.
_LOCAL_SCHEMES = ("unix", "unix-abstract", "vsock")


def is_local(target: str) -> bool:
    """Returns whether a target is on this machine: a loopback address or a Unix socket."""
    scheme, colon, rest = target.partition(":")
    if colon and scheme.lower() in _LOCAL_SCHEMES:
        return True
    if colon and scheme.lower() in ("dns", "ipv4", "ipv6"):
        # After two slashes comes the DNS server to ask, up to the next slash.
        target = rest[2:].partition("/")[2] if rest.startswith("//") else rest
    return all(_is_loopback(_host(unquote(address))) for address in target.split(","))


def _host(address: str) -> str:
    """Returns an address without its port and brackets."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _is_loopback(host: str) -> bool:
    name = host.lower().removesuffix(".")
    if name in ("localhost", "ip6-localhost", "ip6-loopback") or name.endswith(".localhost"):
        return True
    try:
        ip = ipaddress.ip_address(name)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    # A connection to the unspecified address is one to this machine.
    return ip.is_loopback or ip.is_unspecified
