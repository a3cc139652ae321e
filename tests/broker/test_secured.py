"""Every client of ours on a cluster that asks for TLS and a login, and what each says when it is not let in."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from structlog.testing import capture_logs

from broker import topics
from broker.connection_trouble import connection_fault, explanation
from broker.embedded import EmbeddedKafka
from broker.embedded.configuration import HOST
from broker.embedded.jars import java_executable
from broker.embedded.ports import free_ports
from broker.log_reader import LogReader
from broker.publisher import Bounds, Publisher
from broker.subscription import Assignment, CommitRequest, Subscription
from broker.topics import ensure_topics
from schemas.errors import ConfigurationError, NotAcknowledged, Retryable
from schemas.record import ReceivedRecord, Record
from schemas.settings import ConsumerSettings
from schemas.telemetry import LogEvent

pytestmark = pytest.mark.timeout(180)  # five starts of a Java come before the first test

WITHIN = 30.0
REFUSED_WITHIN = 20.0
STORE_PASSWORD = "only-for-this-test"
WRONG = "n0t-the-passw0rd"
LOGINS = {
    "SCRAM-SHA-512": {"sasl.username": "fuse-sync", "sasl.password": "correct horse; battery's staple"},
    "PLAIN": {"sasl.username": "fuse-sync-plain", "sasl.password": "tr0ub4dor&3"},
}
TIMED_OUT = KafkaError._TIMED_OUT  # noqa: SLF001 - confluent-kafka's public name for librdkafka's local error
NOBODY = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - as above
TRANSPORT = KafkaError._TRANSPORT  # noqa: SLF001 - as above
TLS = KafkaError._SSL  # noqa: SLF001 - as above
LOGIN = KafkaError._AUTHENTICATION  # noqa: SLF001 - as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """A cluster behind TLS and a login. `authority` is the certificate to trust."""

    bootstrap_servers: str
    authority: Path

    def settings(self, topic: str, mechanism: str = "SCRAM-SHA-512", **changed: str) -> ConsumerSettings:
        """Give settings as an operator writes them; underscores in names of what is `changed` stand for dots."""
        client = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            **LOGINS[mechanism],
            "ssl.ca.location": str(self.authority),
            "ssl.endpoint.identification.algorithm": "https",
            **{name.replace("_", "."): value for name, value in changed.items()},
        }
        return ConsumerSettings(
            kafka_bootstrap_servers=self.bootstrap_servers,
            kafka_client=json.dumps(client),
            tenants_file=Path("tenants.toml"),
            topic=topic,
            topic_partitions=2,
            session_timeout_seconds=6,
            _env_file=None,
        )


@pytest.fixture(scope="module")
def secured(embeddable: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Run a Kafka with a secured listener, certificates of an authority of its own, and two users."""
    assert embeddable is None
    directory = tmp_path_factory.mktemp("certificates")
    authority, store = make_certificates(directory)
    (port,) = free_ports(1)
    with EmbeddedKafka(properties=properties(port, store)) as kafka:
        add_scram_user(kafka.bootstrap_servers, LOGINS["SCRAM-SHA-512"])
        yield Secured(bootstrap_servers=f"{HOST}:{port}", authority=authority)


def make_certificates(directory: Path) -> tuple[Path, Path]:
    """Make an authority, and a broker's key signed by it; give the authority's certificate and the broker's store."""
    authority, store = directory / "authority.pem", directory / "broker.p12"
    keys = ("-genkeypair", "-keyalg", "EC", "-keystore", str(store))
    keytool(*keys, "-alias", "authority", "-dname", "CN=authority", "-ext", "bc:c")
    keytool(*keys, "-alias", "broker", "-dname", "CN=broker", "-ext", f"san=ip:{HOST}", "-signer", "authority")
    keytool("-exportcert", "-rfc", "-alias", "authority", "-keystore", str(store), "-file", str(authority))
    keytool("-delete", "-alias", "authority", "-keystore", str(store))  # a broker has no business with its key
    return authority, store


def keytool(*arguments: str) -> None:
    """Run the certificate tool of the embedded Kafka's Java."""
    tool = java_executable().with_name("keytool")
    command = [str(tool), "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", *arguments, "-storepass", STORE_PASSWORD]
    subprocess.run(command, check=True, capture_output=True, timeout=WITHIN)


def properties(port: int, store: Path) -> Mapping[str, str]:
    """Configure a listener that asks for TLS and one of two kinds of login."""
    modules = "org.apache.kafka.common.security"
    plain = LOGINS["PLAIN"]
    user = f'user_{plain["sasl.username"]}="{plain["sasl.password"]}"'
    return {
        "listeners": f"SASL_SSL://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "sasl.enabled.mechanisms": ",".join(LOGINS),
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{modules}.plain.PlainLoginModule required {user};",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(store),
        "ssl.keystore.password": STORE_PASSWORD,
    }


def add_scram_user(servers: str, login: Mapping[str, str]) -> None:
    """Create a user, by the listener that asks nobody."""
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    user = UserScramCredentialUpsertion(login["sasl.username"], info, login["sasl.password"].encode())
    client = AdminClient({"bootstrap.servers": servers})
    for future in client.alter_user_scram_credentials([user]).values():
        future.result(WITHIN)


class Reader:
    """A member that reads at once and keeps what comes."""

    def __init__(self) -> None:
        self.held: list[Assignment] = []
        self.records: list[ReceivedRecord] = []

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        """Read."""
        self.held += assignments
        for given in assignments:
            self.subscription.resume(given.partition, given.tenure)

    def received(self, records: Sequence[ReceivedRecord]) -> None:
        """Keep records."""
        self.records += records

    async def released(self, partitions: Sequence[int]) -> Sequence[CommitRequest]:
        """Let go."""
        self.held = [given for given in self.held if given.partition not in partitions]
        return []

    def lost(self, partitions: Sequence[int]) -> None:
        """Forget."""
        self.held = [given for given in self.held if given.partition not in partitions]

    def subscribe(self, settings: ConsumerSettings) -> Subscription:
        """Connect with a subscription, to be entered."""
        self.subscription = Subscription(settings, self)
        return self.subscription


def publisher(settings: ConsumerSettings) -> Publisher:
    """Make a publisher that gives up early."""
    return Publisher(settings, Bounds(messages=100, bytes=1_000_000, deadline_seconds=5, stop_seconds=1))


@pytest.mark.parametrize("mechanism", LOGINS)
async def test_every_client_works_through_tls_and_a_login(secured: Secured, topic_name: str, mechanism: str) -> None:
    """Topics are made, records published, read by a group, committed, and read back from the log."""
    settings = secured.settings(topic_name, mechanism)
    await ensure_topics(settings)
    async with publisher(settings) as sender:
        written = await sender.publish(topic_name, Record(key=b"key", value=b"value", headers=(("n", b"1"),)))
        assert await sender.faults(topic_name, WITHIN) == ()

    reader = Reader()
    async with asyncio.timeout(WITHIN), reader.subscribe(settings) as subscription:
        while not reader.records:
            assert not subscription.failure.done(), subscription.failure
            await asyncio.sleep(0.01)
        (held,) = [given for given in reader.held if given.partition == written.partition]
        request = CommitRequest(partition=held.partition, tenure=held.tenure, offset=1, metadata="")
        assert await subscription.commit([request]) == {held.tenure}

    async with LogReader(settings) as logs:
        history = await logs.history(topic_name, written.partition)
        assert (history.low, history.high) == (0, 1)
        batches = [batch async for batch in logs.read(topic_name, written.partition, range(1))]
    assert [record.value for batch in batches for record in batch] == [b"value"]
    assert [record.value for record in reader.records] == [b"value"]


async def test_a_wrong_password_stops_the_start_and_says_what_to_correct(
    secured: Secured, topic_name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The error comes within bounded time, names the settings to correct, and nothing tells any password."""
    settings = secured.settings(topic_name, sasl_password=WRONG)
    began = time.monotonic()
    with capture_logs() as logs, pytest.raises(ConfigurationError) as caught:
        await ensure_topics(settings)
    assert time.monotonic() - began < REFUSED_WITHIN
    assert "FUSE_SYNC_KAFKA_CLIENT: the cluster refuses the login; correct sasl.mechanism" in str(caught.value)
    assert "sasl.password" in str(caught.value)
    assert_untold(repr(caught.value), repr(settings), str(logs), *capfd.readouterr())


async def test_a_broker_whose_certificate_nobody_vouches_for_is_not_talked_to(
    secured: Secured, topic_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the setting that holds the authority."""
    monkeypatch.setattr(topics, "_REQUEST_SECONDS", 2.0)
    stranger, _ = make_certificates(tmp_path)
    settings = secured.settings(topic_name, ssl_ca_location=str(stranger))
    with pytest.raises(ConfigurationError, match=r"no TLS connection comes about; correct .*ssl\.ca\.location"):
        await ensure_topics(settings)


async def test_a_client_without_tls_is_told_that_its_protocol_does_not_fit(
    secured: Secured, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The brokers close such a connection without a word, which could as well mean that they are starting."""
    monkeypatch.setattr(topics, "_REQUEST_SECONDS", 2.0)
    settings = secured.settings(topic_name, security_protocol="SASL_PLAINTEXT")
    with pytest.raises(Retryable, match=r"no broker of .* answers: .*security\.protocol in FUSE_SYNC_KAFKA_CLIENT"):
        await ensure_topics(settings, within=1)


async def test_running_clients_that_are_refused_say_so_and_tell_no_password(
    secured: Secured, topic_name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A login that is withdrawn later shows in every client: an error in bounded time, or the log."""
    settings = secured.settings(topic_name, sasl_password=WRONG)
    with capture_logs() as logs:
        async with asyncio.timeout(WITHIN), publisher(settings) as sender, LogReader(settings) as reader:
            with pytest.raises(NotAcknowledged) as unsent:
                await sender.publish(topic_name, Record(key=b"", value=b"", headers=()))
            with pytest.raises(Retryable) as unread:
                await reader.history(topic_name, 0)
            async with Reader().subscribe(settings):
                while {line["client"] for line in logs} != {"publisher", "subscription"}:  # noqa: ASYNC110 - a log
                    await asyncio.sleep(0.01)
    assert {line["event"] for line in logs} == {LogEvent.BROKER_TROUBLED}
    assert {line["client"] for line in logs if line["code"] == "_AUTHENTICATION"} == {"publisher", "subscription"}
    assert_untold(repr(unsent.value), repr(unread.value), str(logs), *capfd.readouterr())


def assert_untold(*texts: str) -> None:
    """Check that none of the texts holds a password."""
    for secret in (WRONG, STORE_PASSWORD, *(login["sasl.password"] for login in LOGINS.values())):
        assert not [text for text in texts if secret in text]


def test_what_is_explained_is_the_latest_error_that_names_a_cause() -> None:
    """That all brokers are down is a consequence of what was said before."""
    refused = KafkaError(TRANSPORT, "connection refused")
    down = KafkaError(NOBODY, "2/2 brokers are down")
    assert explanation([KafkaError(TRANSPORT, "reset"), refused, down]) == refused.str()
    assert "security.protocol" in explanation([down])
    assert explanation([]) == ""


def test_only_what_waiting_cannot_mend_is_a_fault() -> None:
    """A refused login and a failed handshake stay faults also where a broken connection was noticed after them."""
    broken = KafkaError(TRANSPORT, "connection reset")
    assert connection_fault([broken, KafkaError(TIMED_OUT, "timed out")]) is None
    assert connection_fault([]) is None
    login = connection_fault([KafkaError(TLS, "handshake failed"), KafkaError(LOGIN, "denied"), broken])
    assert login is not None
    assert login.startswith("FUSE_SYNC_KAFKA_CLIENT: the cluster refuses the login; ")
    assert login.endswith("denied.")
