"""The table `relay` of a tenant: what it says, and its mistakes in words, without secrets."""

import base64
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from schemas.tenants import Tenants, load_tenants

GOOD = base64.b64encode(b"k" * 24).decode()
_ACCOUNT = '[tenants.acme.sandbox]\nclient_id = "id"\napi_key = "key"\n'


def _load(folder: Path, lines: str, *, literals: bool = True) -> Tenants:
    path = folder / "tenants.toml"
    head = "allow_literals = true\n" if literals else ""
    account = _ACCOUNT if literals else _ACCOUNT.replace('"id"', '"env:ID"').replace('"key"', '"env:ID"')
    path.write_text(f"{head}{account}[tenants.acme.relay]\n{lines}\n")
    return load_tenants(path, {"ID": "id"})


def test_a_receiver_has_a_url_and_secrets_the_current_one_first(tmp_path: Path) -> None:
    """A slash at the URL's end may matter to the receiver, and stays."""
    relay = _load(tmp_path, f'url = "https://r.example/in/"\nsecret = "whsec_{GOOD}"\nprevious_secrets = ["{GOOD}"]')[
        "acme"
    ].relay
    assert relay is not None
    assert relay.url == "https://r.example/in/"
    assert [secret.get_secret_value() for secret in relay.secrets] == [f"whsec_{GOOD}", GOOD]
    assert GOOD not in repr(relay)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ('url = "https://r.example"', "tenants.acme.relay.secret: is required"),
        (f'secret = "{GOOD}"', "tenants.acme.relay.url: is required"),
        (f'url = "ftp://r"\nsecret = "{GOOD}"', "tenants.acme.relay.url: must be https://"),
        ('url = "https://r"\nsecret = "c2hvcnQ="', "tenants.acme.relay.secret: must be 24 to 64 bytes"),
        ('url = "https://r"\nsecret = "no base64!"', "tenants.acme.relay.secret: must be 24 to 64 bytes"),
        (f'url = "https://r"\nsecret = "{GOOD}"\nprevious_secrets = ["x"]', "relay.previous_secrets[0]: must be"),
        (f'url = "https://r"\nsecrets = "{GOOD}"', "tenants.acme.relay.secrets: there is no such key"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, lines: str, fault: str) -> None:
    """And without the secret."""
    with pytest.raises(ConfigurationError) as caught:
        _load(tmp_path, lines)
    assert fault in str(caught.value)
    assert GOOD not in str(caught.value)


def test_a_literal_secret_needs_permission(tmp_path: Path) -> None:
    """As every other secret of the file does."""
    with pytest.raises(ConfigurationError, match=r"relay\.secret: is given literally"):
        _load(tmp_path, f'url = "https://r.example"\nsecret = "{GOOD}"', literals=False)
