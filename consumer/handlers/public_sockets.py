"""Sockets to public addresses alone: a tenant's URL must not make us call what only this network can reach."""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

_NAT64 = IPv6Network("64:ff9b::/96")
"""A gateway turns what is sent there into IPv4 (RFC 6052): the last four bytes are the address."""


_GIVEN_OUT = IPv6Network("2000::/3")
"""All of IPv6 that anybody can have so far: what lies outside leads to IPv4, or stays within a network.

`is_global` does not know that of the local gateways of RFC 8215, for example.
"""


class PrivateAddress(OSError):
    """The address is not a public one. One text for all, since whoever connects may merge equal errors alone."""

    def __init__(self) -> None:
        super().__init__("the address is not public")


def public_socket(address: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
    """Make the socket for one address, just before it is connected: no later answer of a name server can change it.

    The HTTP client asks for it here whether the URL has a name or an address. Raises PrivateAddress.
    """
    family, kind, protocol, _, place = address
    if not is_public(place[0]):
        raise PrivateAddress
    return socket.socket(family, kind, protocol)


def is_public(address: str) -> bool:
    """Say whether anybody on the Internet can have this address; IPv6 forms of an IPv4 address are as that one."""
    found = ip_address(address.partition("%")[0])
    inner = _inner(found) if isinstance(found, IPv6Address) else None
    if isinstance(found, IPv6Address) and inner is None and found not in _GIVEN_OUT:
        return False
    meant = inner or found
    return meant.is_global and not meant.is_multicast


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
