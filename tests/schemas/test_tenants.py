"""The tenants file: what it configures, and that its mistakes are told in words, together and without secrets."""

import subprocess
import sys
import traceback
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from schemas.errors import ConfigurationError
from schemas.event import Environment
from schemas.tenants import Account, Tenant, Tenants, load_tenants

ROOT = Path(__file__).parents[2]
SECRET = "s3cr3t"
KEYS = 'client_id = "id"\napi_key = "key"\n'


def _load(folder: Path, text: str, **environ: str) -> Tenants:
    path = folder / "tenants.toml"
    path.write_text(dedent(text), encoding="utf-8")
    return load_tenants(path, environ)


def _account(folder: Path, lines: str, **environ: str) -> Account:
    """Load one account with literals allowed, its keys set, and these lines beside them."""
    text = f"allow_literals = true\n[tenants.acme.sandbox]\n{KEYS}{lines}\n"
    return _load(folder, text, **environ)["acme"].accounts[Environment.SANDBOX]


def _faults(folder: Path, text: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        _load(folder, text, **environ)
    return caught.value.faults


def _plain(account: Account) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in account.credentials.items()}


def test_the_example_of_the_documentation_loads(tmp_path: Path) -> None:
    """With each variable set that it names, and its files where it says."""
    text = (ROOT / "docs" / "tenants.example.toml").read_text(encoding="utf-8")
    names = [line.split("env:")[1].split('"')[0] for line in text.splitlines() if "env:" in line and line[0] != "#"]
    (tmp_path / "secrets").mkdir()
    for name in ("certificate", "private_key"):
        pem = "-----BEGIN FAKE-----\nQUJD\n-----END FAKE-----\n"
        (tmp_path / "secrets" / f"acme_teller_{name}.pem").write_text(pem)
    acme = _load(tmp_path, text, **dict.fromkeys(names, "value"))["acme"]
    assert set(acme.accounts) == set(Environment)
    assert "Teller-Private-Key" in acme.accounts[Environment.PRODUCTION].credentials


def test_an_account_holds_keys_base_url_and_the_headers_of_all_configured_aggregators(tmp_path: Path) -> None:
    """One mapping of header names, whichever aggregator they belong to."""
    account = _account(
        tmp_path,
        """
        accepted_keys = ["env:OLD"]
        base_url = "https://staging.example:8443/fuse/"
        plaid = { client_id = "p1", secret = "p2" }
        truelayer = { client_id = "t1", client_secret = "t2" }
        """,
        OLD="old",
    )
    assert account.client_id.get_secret_value() == "id"
    assert account.api_key.get_secret_value() == "key"
    assert account.accepted_keys == (SecretStr("old"),)
    assert account.base_url == "https://staging.example:8443/fuse"
    assert _plain(account) == {
        "Plaid-Client-Id": "p1",
        "Plaid-Secret": "p2",
        "TrueLayer-Client-Id": "t1",
        "TrueLayer-Client-Secret": "t2",
    }


def test_headers_beyond_the_table_can_be_given_per_account_and_per_aggregator(tmp_path: Path) -> None:
    """For aggregators and names that Fuse has and we do not know."""
    account = _account(
        tmp_path,
        """
        headers = { New-Bank-Key = "n" }
        basiq = { api_key = "b", headers = { Basiq-Region = "env:REGION" } }
        """,
        REGION="au",
    )
    assert _plain(account) == {"New-Bank-Key": "n", "Basiq-Api-Key": "b", "Basiq-Region": "au"}


def test_an_aggregator_may_be_given_by_headers_alone(tmp_path: Path) -> None:
    """Then the table's names are not asked for: Fuse may have renamed them."""
    account = _account(tmp_path, 'sophtron = { headers = { Sophtron-User = "u" } }')
    assert _plain(account) == {"Sophtron-User": "u"}


def test_the_tenant_and_its_limits_are_read(tmp_path: Path) -> None:
    """A limit alone allows a second's worth at once."""
    text = f"""allow_literals = true
        tenants.a.ingest_limit = 2.5
        tenants.b.ingest_limit = 2
        tenants.b.ingest_burst = 40
        [tenants.a.sandbox]\n{KEYS}
        [tenants.b.sandbox]\n{KEYS}
        [tenants.c.sandbox]\n{KEYS}"""
    tenants = _load(tmp_path, text)
    assert [(t.name, t.ingest_limit, t.ingest_burst) for t in tenants.values()] == [
        ("a", 2.5, 3),
        ("b", 2.0, 40),
        ("c", None, None),
    ]


def test_a_body_is_checked_with_the_keys_of_the_environment_that_it_names(tmp_path: Path) -> None:
    """With those of both where it names none, and with none where it names one that the tenant does not have."""
    text = f"""allow_literals = true
        [tenants.both.sandbox]\n{KEYS}accepted_keys = ["old"]
        [tenants.both.production]\nclient_id = "id"\napi_key = "live"
        [tenants.one.sandbox]\n{KEYS}"""
    tenants = _load(tmp_path, text)

    def secrets(tenant: str, named: object) -> list[tuple[str, str]]:
        return [(k.environment.value, k.secret.get_secret_value()) for k in tenants[tenant].signing_keys(named)]

    sandbox, production = [("sandbox", "key"), ("sandbox", "old")], [("production", "live")]
    assert secrets("both", "sandbox") == sandbox
    assert secrets("both", "production") == production
    nothings: list[object] = [None, "", "SANDBOX", 1, True, [], {}, ["sandbox"], "\ud800"]
    for nothing in nothings:
        assert secrets("both", nothing) == sandbox + production
    assert secrets("one", "production") == []


def test_two_tenants_may_share_keys(tmp_path: Path) -> None:
    """One Fuse account can serve several of the platform's customers."""
    text = f"allow_literals = true\n[tenants.a.sandbox]\n{KEYS}[tenants.b.sandbox]\n{KEYS}"
    assert list(_load(tmp_path, text)) == ["a", "b"]


def test_nothing_that_is_loaded_shows_a_secret(tmp_path: Path) -> None:
    """Neither tenants, nor one of them, nor an account, nor its keys."""
    lines = f'accepted_keys = ["{SECRET}"]\nplaid = {{ client_id = "{SECRET}", secret = "{SECRET}" }}'
    account = _account(tmp_path, lines)
    tenant = Tenant(name="acme", accounts={Environment.SANDBOX: account})
    shown = f"{account!r}{tenant!r}{Tenants({'acme': tenant})!r}{tenant.signing_keys(None)!r}"
    assert SECRET not in shown
    assert "'key'" not in shown


SENTENCES = [
    ('client_id = ""', "client_id: is empty; remove it or give it a value."),
    ('api_ky = "k"', "api_ky: there is no such key; did you mean api_key?"),
    ("zzz = 1", "zzz: there is no such key; known here are accepted_keys, akoya,"),
    ("api_key = 5", "api_key: must be a text in quotes."),
    ('accepted_keys = "k"', "accepted_keys: must be a list of texts."),
    ("accepted_keys = [1]", "accepted_keys[0]: must be a text in quotes."),
    (
        'accepted_keys = ["k", "env:NOPE"]',
        "accepted_keys[1]: refers to the environment variable NOPE, which is not set.",
    ),
    ('base_url = "ftp://host"', "base_url: must be https://HOST or http://HOST, with a port and a path at most."),
    ('base_url = "https://"', "base_url: must be"),
    ('base_url = "https://host:0"', "base_url: must be"),
    ('base_url = "https://host:x"', "base_url: must be"),
    ('base_url = "https://host/?a"', "base_url: must be"),
    ('base_url = "https://[::1"', "base_url: must be"),
    ('base_url = "https://me:s3cr3t@host"', "base_url: must be"),
    ('plaid = "x"', "plaid: must be a table."),
    ("plaid = {}", "plaid.client_id: is required for plaid and not set."),
    ('plaid = { client_id = "c" }', "plaid.secret: is required for plaid and not set."),
    ('plaid = { client_id = "c", secrt = "s" }', "plaid.secrt: there is no such key; did you mean secret?"),
    ('flinks = { us_customer_id = "c" }', "flinks.us_instance_id: is required beside us_customer_id and not set."),
    ("flinks = {}", "flinks.ca_customer_id: is not set, nor is any other credential of flinks"),
    ('tellr = { application_id = "a" }', "tellr: there is no such key; did you mean teller?"),
    ("headers = {}", "headers: is empty; add a header or remove it."),
    ('headers = { Host = "h" }', "headers.Host: is a header that fuse-sync sets itself: remove it."),
    ('headers = { "a b" = "h" }', 'headers."a b": is not a header name'),
    (
        'mx = { client_id = "m", api_key = "m" }\nheaders = { mx-api-key = "h" }',
        "headers.mx-api-key: is set already for this account; keep one of the two.",
    ),
]


@pytest.mark.parametrize(("lines", "sentence"), SENTENCES, ids=[lines for lines, _ in SENTENCES])
def test_each_mistake_in_an_account_gives_one_sentence_with_its_place(
    tmp_path: Path, lines: str, sentence: str
) -> None:
    """Whatever else is missing because of it is told beside it."""
    key = lines.split(" ", 1)[0]
    kept = "".join(f"{line}\n" for line in KEYS.splitlines() if line.split(" ")[0] != key)
    faults = _faults(tmp_path, f"allow_literals = true\n[tenants.acme.sandbox]\n{kept}{lines}\n")
    assert [fault for fault in faults if fault.startswith(f"tenants.acme.sandbox.{sentence}")] == [faults[0]], faults


WHOLE_FILE = [
    ("", "tenants: there is none; begin with a table such as [tenants.acme.sandbox]."),
    ("tenants = {}", "tenants: there is none"),
    ("tenants = 5", "tenants: must be a table."),
    ("tenants.acme = 5", "tenants.acme: must be a table."),
    ("[tenants.acme]", "tenants.acme.sandbox: is missing, and so is production; a tenant needs at least one"),
    ("tenants.acme.sandbox = 1", "tenants.acme.sandbox: must be a table."),
    (f"[tenants.Acme.sandbox]\n{KEYS}", "tenants.Acme: use 1 to 63 of a-z, 0-9, '.', '_' and '-'"),
    (f'[tenants."a/b".sandbox]\n{KEYS}', 'tenants."a/b": use 1 to 63'),
    (f'[tenants."a\\nb".sandbox]\n{KEYS}', 'tenants."a\\nb": use 1 to 63'),
    (f"[tenants.{'a' * 64}.sandbox]\n{KEYS}", f"tenants.{'a' * 64}: use 1 to 63"),
    (f"[tenants.acme.eu.sandbox]\n{KEYS}", "tenants.acme.eu: there is no such key; known here are ingest_burst,"),
    (f"[tenants.acme.sandbx]\n{KEYS}", "tenants.acme.sandbx: there is no such key; did you mean sandbox?"),
    (f"[tenant.acme.sandbox]\n{KEYS}", "tenant: there is no such key; did you mean tenants?"),
    ("[tenants.acme]\ningest_limit = 0", "tenants.acme.ingest_limit: must be a number above 0"),
    ("[tenants.acme]\ningest_limit = inf", "tenants.acme.ingest_limit: must be a number above 0"),
    ("[tenants.acme]\ningest_limit = nan", "tenants.acme.ingest_limit: must be a number above 0"),
    ("[tenants.acme]\ningest_limit = true", "tenants.acme.ingest_limit: must be a number above 0"),
    ('[tenants.acme]\ningest_limit = "5"', "tenants.acme.ingest_limit: must be a number above 0"),
    ("[tenants.acme]\ningest_burst = 5", "tenants.acme.ingest_burst: has no meaning without ingest_limit"),
    ("[tenants.acme]\ningest_limit = 1\ningest_burst = 1.5", "tenants.acme.ingest_burst: must be a whole number"),
    ('allow_literals = "true"', "allow_literals: must be true or false, without quotes."),
]


@pytest.mark.parametrize(("text", "sentence"), WHOLE_FILE, ids=[text[:60] for text, _ in WHOLE_FILE])
def test_each_mistake_above_the_accounts_gives_one_sentence_with_its_place(
    tmp_path: Path, text: str, sentence: str
) -> None:
    """Names that would not fit into URLs, record keys and CloudEvents sources among them."""
    assert len([fault for fault in _faults(tmp_path, text) if fault.startswith(sentence)]) == 1


def test_everything_wrong_is_reported_together(tmp_path: Path) -> None:
    """Over all tenants, one sentence for each thing to mend."""
    faults = _faults(
        tmp_path,
        """
        color = "red"
        [tenants.a.sandbox]
        client_id = "literal"
        plaid = { secret = "env:NOPE" }
        [tenants.b.production]
        client_id = "env:ID"
        api_key = "file:nope"
        """,
        ID="id",
    )
    assert [fault.split(":")[0] for fault in faults] == [
        "color",
        "tenants.a.sandbox.client_id",
        "tenants.a.sandbox.api_key",
        "tenants.a.sandbox.plaid.secret",
        "tenants.a.sandbox.plaid.client_id",
        "tenants.b.production.api_key",
    ]
    assert all(fault.endswith((".", "?")) for fault in faults)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a = ", "is not TOML; mend this: Invalid value (at end of document)."),
        (b"\xff", "is not UTF-8 text"),
        (b"a = " + b"9" * 5000, "is not TOML that can be read"),
        (b"a = " + b"[" * 5000, "is not TOML that can be read"),
    ],
)
def test_a_file_that_cannot_be_read_gives_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    """With its path, since there is no other place."""
    path = tmp_path / "tenants.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_tenants(path, {})
    (fault,) = caught.value.faults
    assert fault.startswith(f"{path}: {sentence}")


@pytest.mark.parametrize("name", ["nope.toml", "."])
def test_a_file_that_is_not_there_gives_one_sentence(tmp_path: Path, name: str) -> None:
    """It says which path was tried."""
    with pytest.raises(ConfigurationError, match=r"cannot be read .*; give the path of the tenants file") as caught:
        load_tenants(tmp_path / name, {})
    assert len(caught.value.faults) == 1


LEAKS = [
    f'[tenants.a.sandbox]\nclient_id = "{SECRET}"',
    f'[tenants.a.sandbox]\nclient_id = ["{SECRET}"]\napi_key = {{ x = "{SECRET}" }}',
    f'[tenants.a.sandbox]\naccepted_keys = "{SECRET}"\nplaid = "{SECRET}"',
    f'[tenants.a.sandbox]\napi_ky = "{SECRET}"\nheaders = "{SECRET}"',
    f'[tenants.a.sandbox]\nbase_url = "https://me:{SECRET}@host:x"',
    f'allow_literals = true\n[tenants.a.sandbox]\napi_key = "{SECRET}é"\nclient_id = " {SECRET}"',
    f'allow_literals = true\n[tenants.a.sandbox]\nteller = {{ certificate = "-----BEGIN {SECRET}" }}',
    f'allow_literals = true\n[tenants.a.sandbox]\nteller = {{ certificate = "{SECRET}*" }}',
    f"[tenants.a.sandbox]\napi_key = {SECRET}",
    f'[tenants.a.sandbox]\napi_key = "{SECRET}',
    f'[tenants.a.sandbox]\napi_key = "{SECRET}"\napi_key = "{SECRET}"',
    f'[tenants.a.sandbox]\napi_key = "{SECRET}\\x"',
    f'[tenants.a]\ningest_limit = "{SECRET}"\ningest_burst = "{SECRET}"\nsandbox = "{SECRET}"',
    f'[tenants.a.sandbox]\napi_key = "env:{SECRET} {SECRET}"\nclient_id = "env:HELD"',
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_fault_and_no_traceback_repeats_a_secret(tmp_path: Path, text: str) -> None:
    """Neither the error nor what it was raised from, followed to the end."""
    with pytest.raises(ConfigurationError) as caught:
        _load(tmp_path, text, HELD=f"{SECRET}\n")
    error: BaseException | None = caught.value
    told = "".join(traceback.format_exception(caught.value, chain=True))
    while error is not None:
        told += f"{error} {error!r} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert SECRET not in told


TOML_VALUES = st.recursive(
    st.sampled_from(['"x"', '"env:A"', '"file:."', "1", "-1.5", "nan", "true", "1979-05-27", '""']),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(["headers", "secret", "client_id", "x"]), inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key} = {value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=6,
)
PLACES = ["allow_literals", "tenants", "ingest_limit", "sandbox", "client_id", "accepted_keys", "plaid", "headers"]


@given(st.dictionaries(st.sampled_from(PLACES), TOML_VALUES, min_size=1), st.sampled_from(["", "[tenants.a]\n", "top"]))
def test_no_shape_of_a_file_makes_anything_but_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, lines: dict[str, str], head: str
) -> None:
    """Any TOML value may stand where any other is expected."""
    head = "[tenants.a.sandbox]\n" if head == "top" else head
    path = tmp_path_factory.getbasetemp() / "shape.toml"
    path.write_text(head + "".join(f"{key} = {value}\n" for key, value in lines.items()), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_tenants(path, {})
    assert caught.value.faults


def _check(path: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "schemas", "check-tenants", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_shows_what_is_configured_without_secrets(tmp_path: Path) -> None:
    """Exit status 0, a row for each environment of each tenant."""
    _account(tmp_path, f'plaid = {{ client_id = "{SECRET}", secret = "{SECRET}" }}\nheaders = {{ X-New = "{SECRET}" }}')
    done = _check(tmp_path / "tenants.toml")
    assert (done.returncode, done.stderr) == (0, "")
    header, row = done.stdout.splitlines()
    assert header.split()[:2] == ["tenant", "environment"]
    assert " ".join(row.split()) == "acme sandbox plaid, header X-New 1 default none none"


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    """Exit status 1, one sentence a line, nothing else."""
    path = tmp_path / "tenants.toml"
    path.write_text(f'[tenants.a.sandbox]\nclient_id = "{SECRET}"\n')
    done = _check(path)
    assert (done.returncode, done.stdout) == (1, "")
    literal, missing = done.stderr.splitlines()
    assert literal.startswith("tenants.a.sandbox.client_id: is given literally; write env:NAME or file:PATH, or put ")
    assert missing == "tenants.a.sandbox.api_key: is required and not set."
