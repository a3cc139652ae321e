"""Asking a member's page about a lane."""

from http.client import HTTPConnection, HTTPException
from urllib.parse import quote

from consumer.why.answer import PageAnswer

_ANSWERS_WITHIN = 3.0
_MOST_BYTES = 1_048_576
_OK = 200


def ask(address: str, lane: str) -> PageAnswer | None:
    """Ask the page at `address`, `host:port`, about a lane; None if it does not answer as a page of ours does."""
    tenant, _, connection = lane.partition("/")
    try:
        return PageAnswer.model_validate_json(_get(address, f"/lanes/{quote(tenant)}/{quote(connection, safe='')}"))
    except (OSError, HTTPException, ValueError):  # the last for a body that is no page, and for an odd host
        return None


def _get(address: str, path: str) -> bytes:
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host, int(port), timeout=_ANSWERS_WITHIN)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read(_MOST_BYTES) if response.status == _OK else b""
    finally:
        connection.close()
