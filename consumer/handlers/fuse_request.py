"""The sync call as it goes over the wire: what Fuse's own Node client sends, and an idempotency key.

Pure. `Accept-Encoding`, `Host` and `Content-Length` are left to the HTTP client: only it knows which encodings it can
undo, so a fixed list would invite answers that nobody can read.
"""

from importlib.metadata import version
from weakref import WeakKeyDictionary

from multidict import CIMultiDict

from consumer.handlers.http_client import Post
from schemas.event import Event
from schemas.tenants import Account

SYNC_PATH = "/v1/financial_connections/sync"
USER_AGENT = f"fuse-sync/{version('fuse-sync')}"


def sync_request(event: Event, account: Account, base_url: str) -> Post:
    """Make the sync call for an event: its body as received, its signature, and all of the account's credentials.

    `base_url` is that of the event's environment, without a slash at its end; the account's own goes first.
    """
    headers = _account_headers(account).copy()
    headers["Fuse-Verification"] = event.verification
    headers["Idempotency-Key"] = event.idempotency_key
    return Post(url=(account.base_url or base_url) + SYNC_PATH, headers=headers, body=event.body)


# Weak, so that an account that is replaced takes its headers, and the secrets in them, with it.
_HEADERS: WeakKeyDictionary[Account, CIMultiDict[str]] = WeakKeyDictionary()
"""As the HTTP client keeps headers, which then need not be copied one by one for each call."""


def _account_headers(account: Account) -> CIMultiDict[str]:
    headers = _HEADERS.get(account)
    if headers is None:
        headers = _HEADERS[account] = CIMultiDict(
            {
                "Accept": "application/json, text/plain, */*",
                "Content-Type": "application/json",
                "User-Agent": USER_AGENT,
                "Fuse-Client-Id": account.client_id.get_secret_value(),
                "Fuse-Api-Key": account.api_key.get_secret_value(),
                **{name: secret.get_secret_value() for name, secret in account.credentials.items()},
            }
        )
    return headers
