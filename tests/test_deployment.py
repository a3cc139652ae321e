"""Deployment files: what compose starts exists and is set up rightly; the image holds what runs and nothing else."""

import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.settings import ConsumerSettings, IngressSettings, PipelineSettings, load, variable
from schemas.tenants import load_tenants

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
PROGRAMS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
KIND: dict[str, type[PipelineSettings]] = {"ingress": IngressSettings, "consumer": ConsumerSettings}


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _defaults(text: str) -> str:
    """Fill in what compose would, where the shell sets nothing."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def _copied() -> list[str]:
    """List what the build context gives to the image."""
    lines = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    return [source for sources in lines for source in sources if not source.startswith(("--", "/"))]


def _pins(path: str) -> dict[str, str]:
    text = (ROOT / "requirements" / path).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def test_docker_accepts_the_compose_file() -> None:
    """By its own word; the plugin needs no engine for that."""
    docker = shutil.which("docker")
    plugin = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0
    if not plugin:
        pytest.skip("docker compose is not here, so nobody can say whether it accepts docker-compose.yml")
    checked = subprocess.run(
        ["docker", "compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_every_image_is_pinned_by_a_tag() -> None:
    """Both those that are pulled and those that ours is built from."""
    pulled = [service["image"] for service in SERVICES.values() if "build" not in service]
    built_from = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    for image in (*pulled, *built_from):
        name, _, tag = image.partition(":")
        assert name
        assert re.match(r"\d+\.\d+", tag), image


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_those_that_can_say_that_they_are_well(name: str) -> None:
    """A condition on a service without a health check would wait for ever."""
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        assert condition == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_has_no_right_that_it_does_not_need(name: str) -> None:
    """It writes no file and opens no low port."""
    service = PROGRAMS[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert all(volume.endswith(":ro") for volume in service["volumes"])


def test_nothing_is_published_beyond_this_machine() -> None:
    """The broker and the fake Fuse ask nobody for a password."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_consumers_can_be_as_many_as_one_likes() -> None:
    """`--scale` fails where each would want the same name or port."""
    assert not {"container_name", "ports", "hostname"} & SERVICES["consumer"].keys()


def test_the_broker_keeps_its_log_in_the_volume() -> None:
    """So that webhooks outlive the container."""
    kafka = SERVICES["kafka"]
    (mount,) = kafka["volumes"]
    volume, folder = mount.split(":")
    assert volume in COMPOSE["volumes"]
    assert kafka["environment"]["KAFKA_LOG_DIRS"] == folder


@pytest.mark.parametrize("name", KIND)
def test_the_settings_of_a_program_are_good(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They start it as they are: no variable that nothing reads, and none that is missing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(variable("kafka_client"), raising=False)
    for setting, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(setting, _defaults(value))
    assert load(KIND[name]).kafka_bootstrap_servers == "kafka:9092"


def test_the_consumer_calls_the_fake_fuse_of_the_same_file() -> None:
    """At the name and port that it has there, in both environments, and never the real one by default."""
    fuse = SERVICES["fuse"]["command"]
    address = f"http://fuse:{fuse[fuse.index('--port') + 1]}"
    environment = SERVICES["consumer"]["environment"]
    for setting in ("fuse_sandbox_url", "fuse_production_url"):
        assert _defaults(environment[variable(setting)]) == address


def test_the_tenants_that_are_mounted_can_be_read() -> None:
    """All three programs read the same file, from where the settings say it is."""
    for service in PROGRAMS.values():
        (mount,) = service["volumes"]
        source, target, _ = _defaults(mount).split(":")
        assert load_tenants(ROOT / source, {})
        named = service.get("environment", {}).get(variable("tenants_file")) or service["command"][3]
        assert named == target


@pytest.mark.parametrize(("name", "setting"), [("ingress", "ingress_stop_seconds"), ("consumer", "drain_seconds")])
def test_a_program_can_stop_before_it_is_killed(name: str, setting: str) -> None:
    """The grace is longer than the setting lets a stop take."""
    grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert grace > KIND[name].model_fields[setting].default


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_command_is_one_that_there_is(name: str, tmp_path: Path) -> None:
    """With the options that it is given; the ingress has none."""
    module, *options = PROGRAMS[name]["command"]
    assert find_spec(f"{module}.__main__")
    if options:
        run = [sys.executable, "-m", module, *options, "--help"]
        asked = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert asked.returncode == 0, asked.stderr


def test_the_image_holds_every_package_and_nothing_but_what_it_needs() -> None:
    """A package that is added has to be added there too; tests and benchmarks stay out."""
    packages = {f"{name}/" for name in _project()["tool"]["importlinter"]["root_packages"]}
    copied = set(_copied())
    assert {source for source in copied if source.endswith("/")} == packages
    assert copied - packages == {
        *("requirements/run.txt", "requirements/build.txt", "pyproject.toml", "README.md", "LICENSE"),
    }


def test_what_the_image_copies_is_there_and_is_let_through() -> None:
    """The ignore file shuts everything out but what it names."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    through = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    assert through == set(_copied())
    assert all((ROOT / source).exists() for source in through)


def _let_through(path: str) -> bool:
    """Decide as Docker does: the last line that matches the path, or a folder above it, counts."""
    through = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").rstrip("/").replace("**/", "*/")
        if pattern and (fnmatch(path, pattern) or path.startswith(f"{pattern}/")):
            through = line.startswith("!")
    return through


@pytest.mark.parametrize("path", ["schemas/.env", "sandbox/key.pem", "ingress/tls.key", "broker/__pycache__", ".env"])
def test_secrets_and_caches_do_not_get_into_the_image(path: str) -> None:
    """Not even from a folder that is let through."""
    assert not _let_through(path)


def test_code_gets_into_the_image() -> None:
    """From the folders that are let through, and their folders."""
    assert _let_through("schemas/event.py")
    assert _let_through("consumer/engine/lanes.py")


def test_the_image_runs_as_nobody_in_particular() -> None:
    """By a number that is not root's, in the stage that is kept."""
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)


def test_the_image_installs_nothing_without_its_hash() -> None:
    """Other than the project's own wheel, which it has just made; and nothing from the development requirements."""
    installs = re.findall(r"pip (?:--python \S+ )?install (.+?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
    assert len(installs) == 3
    for options in installs:
        assert "--require-hashes" in options or "/wheels/" in options
    assert "dev.txt" not in DOCKERFILE


def test_the_build_uses_the_same_versions_as_development() -> None:
    """`requirements/build.txt` is the build system's share of the development requirements."""
    build = _pins("build.txt")
    assert {requirement.partition(">=")[0] for requirement in _project()["build-system"]["requires"]} <= build.keys()
    assert build.items() <= _pins("dev.txt").items()


def test_the_image_has_a_python_that_the_project_supports() -> None:
    """At least the version that it asks for."""
    least = tuple(map(int, _project()["project"]["requires-python"].removeprefix(">=").split(".")))
    for version in re.findall(r"^FROM python:(\d+\.\d+)-slim", DOCKERFILE, re.MULTILINE):
        assert tuple(map(int, version.split("."))) >= least
