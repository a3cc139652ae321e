"""The table of aggregators against the names that Fuse's own clients publish."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from schemas.aggregators import AGGREGATORS, header_name_fault, missing_fields

SECURITY_SCHEMES = """
Plaid-Client-Id Plaid-Secret Teller-Application-Id Teller-Certificate Teller-Private-Key Teller-Token-Signing-Key
Teller-Signing-Secret Mx-Client-Id Mx-Api-Key Snaptrade-Client-Id Snaptrade-Consumer-Key Flinks-Ca-Customer-Id
Flinks-Us-Customer-Id Flinks-Us-Instance-Id Flinks-Ca-Instance-Id Mono-Public-Key Mono-Secret-Key Mono-Webhook-Secret
TrueLayer-Client-Id TrueLayer-Client-Secret Finverse-Client-Id Finverse-Client-Secret Belvo-Secret-Id
Belvo-Secret-Password Finicity-Partner-Secret Finicity-Partner-Id Finicity-App-Key Basiq-Api-Key Akoya-Client-Id
Akoya-Client-Secret SaltEdge-App-Id SaltEdge-App-Secret
"""
"""Header names that the configuration of fuse-client 2.0.3 (Python, generated from the OpenAPI document) declares."""

IN_NO_DOCUMENT = {"Sophtron-User-Id", "Sophtron-Access-Key", "TrueLayer-Redirect-Uri", "Finverse-Redirect-Uri"}


def _missing(aggregator: str, *given: str) -> list[str]:
    return [field for field, _ in missing_fields(aggregator, given)]


def _headers() -> Iterable[str]:
    return [credential.header for credentials in AGGREGATORS.values() for credential in credentials]


def test_the_header_names_are_those_of_the_python_client_and_four_that_only_error_codes_know() -> None:
    """Spelling included, and none twice."""
    assert sorted(_headers()) == sorted({*SECURITY_SCHEMES.split(), *IN_NO_DOCUMENT})


def test_there_are_fourteen_aggregators() -> None:
    """Those of Fuse's wider list, which has no `fuse`."""
    names = "akoya basiq belvo finicity finverse flinks mono mx plaid saltedge snaptrade sophtron teller truelayer"
    assert list(AGGREGATORS) == names.split()


@pytest.mark.parametrize("aggregator", sorted(set(AGGREGATORS) - {"flinks"}))
def test_each_required_credential_is_missed_alone(aggregator: str) -> None:
    """All but one given: that one is named, unless it is a redirect URI or Teller's token signing key."""
    fields = [credential.field for credential in AGGREGATORS[aggregator]]
    optional = {"redirect_uri", "token_signing_key"}
    for left_out in fields:
        expected = [] if left_out in optional else [left_out]
        assert _missing(aggregator, *(field for field in fields if field != left_out)) == expected


def test_flinks_needs_whole_pairs_and_at_least_one() -> None:
    """Canada or the United States or both, each with customer and instance."""
    assert _missing("flinks", "ca_customer_id", "ca_instance_id") == []
    assert _missing("flinks", "us_customer_id", "us_instance_id") == []
    assert _missing("flinks", "us_instance_id") == ["us_customer_id"]
    assert _missing("flinks", "ca_customer_id", "us_instance_id") == ["ca_instance_id", "us_customer_id"]
    assert _missing("flinks") == ["ca_customer_id"]


@pytest.mark.parametrize(
    "name", ["Fuse-Api-Key", "HOST", "content-length", "Idempotency-Key", "a b", "", "ü", "a\r\nb"]
)
def test_a_header_that_is_ours_or_no_header_is_refused(name: str) -> None:
    """A tenant's extra header can neither replace what the sync call sets nor split it."""
    assert header_name_fault(name) is not None


def test_any_other_header_name_may_be_added() -> None:
    """Aggregators come and rename things without notice."""
    assert header_name_fault("Flinks-Customer-Id") is None


def test_the_documentation_has_every_aggregator_with_all_its_keys() -> None:
    """One row each, in order."""
    page = (Path(__file__).parents[2] / "docs" / "tenants.md").read_text(encoding="utf-8")
    table = page.partition("## Aggregators")[2]
    rows = [re.findall(r"`(\w+)`", line) for line in table.splitlines() if line.startswith("| `")]
    assert rows == [[name, *_documented_fields(name)] for name in AGGREGATORS]


def _documented_fields(aggregator: str) -> list[str]:
    return [credential.field for credential in AGGREGATORS[aggregator]]
