"""Base URLs, as settings and the tenants file name them."""

from urllib.parse import urlsplit

BASE_URL_RULE = "must be https://HOST or http://HOST, with a port and a path at most"


def is_base_url(url: str) -> bool:
    """Say whether `url` follows `BASE_URL_RULE`: no credentials, query or fragment, nothing that is not ASCII."""
    try:
        parts = urlsplit(url)
        valid_port = parts.port != 0
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not any(mark in url for mark in " @?#")
    return valid_port and plain and parts.scheme in {"http", "https"} and bool(parts.hostname)
