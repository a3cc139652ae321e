"""Settings: where they come from, how their mistakes are told, and that secrets stay secret."""

import json
import os
import sys
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr
from pytest import CaptureFixture, MonkeyPatch  # noqa: PT013 - for the types alone

from schemas.__main__ import main
from schemas.errors import ConfigurationError
from schemas.settings import (
    PREFIX,
    ConsumerSettings,
    IngressSettings,
    PipelineSettings,
    load,
    variable,
)
from schemas.settings_page import reference_page

ROOT = Path(__file__).parents[2]
SECRET = "s3cr3t"
KINDS = (PipelineSettings, IngressSettings, ConsumerSettings)


@pytest.fixture(autouse=True)
def environment(monkeypatch: MonkeyPatch, tmp_path: Path) -> MonkeyPatch:
    """Begin with what is required and nothing else, in a folder without a `.env`."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("FUSE_SYNC_TENANTS_FILE", "tenants.toml")
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def _faults(kind: type[PipelineSettings] = ConsumerSettings, **overrides: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(kind, **overrides)
    return caught.value.faults


@pytest.mark.parametrize("kind", KINDS)
def test_with_what_is_required_everything_else_has_a_default(kind: type[PipelineSettings]) -> None:
    """Two variables are enough to start."""
    settings = load(kind)
    assert (settings.kafka_bootstrap_servers, settings.tenants_file) == ("kafka:9092", Path("tenants.toml"))


def test_what_is_required_and_not_set_is_told_for_each() -> None:
    """An empty variable is one that is not set, as compose files make them."""
    os.environ["FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS"] = ""
    del os.environ["FUSE_SYNC_TENANTS_FILE"]
    assert _faults() == (
        "FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS: is required and not set.",
        "FUSE_SYNC_TENANTS_FILE: is required and not set.",
    )


@pytest.mark.parametrize(
    ("kind", "name", "value", "hint"),
    [
        (PipelineSettings, "topic", "fuse webhooks", "must be 1 to 249 of letters, digits"),
        (PipelineSettings, "topic", "..", "must be 1 to 249 of letters, digits"),
        (PipelineSettings, "topic_partitions", "many", "valid integer"),
        (PipelineSettings, "topic_partitions", "0", "greater than or equal to 1"),
        (PipelineSettings, "topic_partitions", "10001", "less than or equal to 10000"),
        (PipelineSettings, "topic_replication_factor", "0", "greater than or equal to 1"),
        (PipelineSettings, "topic_retention_seconds", "59", "greater than or equal to 60"),
        (PipelineSettings, "topic_retention_seconds", "nan", "finite number"),
        (PipelineSettings, "max_body_bytes", "1023", "greater than or equal to 1024"),
        (PipelineSettings, "kafka_client", "{", "must be a JSON object"),
        (PipelineSettings, "kafka_client", "[]", "must be a JSON object"),
        (PipelineSettings, "kafka_client", '{"a": null}', "a must be a text, a number or a boolean"),
        (ConsumerSettings, "fuse_sandbox_url", "https://", "must be https://HOST"),
        (PipelineSettings, "topic_retention_seconds", "1e30", "less than or equal to"),
        (PipelineSettings, "log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        (PipelineSettings, "log_format", "xml", "'json' or 'console'"),
        (IngressSettings, "ingress_port", "65536", "less than or equal to 65535"),
        (IngressSettings, "ingress_max_depth", "901", "less than or equal to 900"),
        (IngressSettings, "ingress_stop_seconds", "0", "greater than 0"),
        (ConsumerSettings, "group", "sync/all", "must be 1 to 249 of letters, digits"),
        (ConsumerSettings, "fuse_production_url", "api.letsfuse.com", "must be https://HOST or http://HOST"),
        (ConsumerSettings, "call_timeout_seconds", "soon", "valid number"),
        (ConsumerSettings, "max_in_flight", "1.5", "valid integer"),
    ],
)
def test_each_mistake_is_one_sentence_that_names_its_variable(
    environment: MonkeyPatch, kind: type[PipelineSettings], name: str, value: str, hint: str
) -> None:
    """And says what would be right."""
    environment.setenv(variable(name), value)
    (sentence,) = _faults(kind)
    assert sentence.startswith(f"{variable(name)}: ")
    assert hint in sentence
    assert sentence.endswith(".")


def test_all_mistakes_are_told_at_once(environment: MonkeyPatch) -> None:
    """Those of unknown variables with those of known ones, wherever they were given."""
    environment.setenv("FUSE_SYNC_TOPIC", "a b")
    environment.setenv("FUSE_SYNC_MAX_IN_FLIGHT", "0")
    environment.setenv("FUSE_SYNC_TENANTS", "tenants.toml")
    Path(".env").write_text("FUSE_SYNC_LOG_LEVEL=loud\nFUSE_SYNC_LOG_LEVL=info\n", encoding="utf-8")
    told = {sentence.split(":")[0] for sentence in _faults()}
    assert told == {
        *("FUSE_SYNC_TOPIC", "FUSE_SYNC_MAX_IN_FLIGHT", "FUSE_SYNC_LOG_LEVEL"),
        *("FUSE_SYNC_TENANTS", "FUSE_SYNC_LOG_LEVL"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_variable_that_nothing_reads_is_a_mistake(environment: MonkeyPatch, kind: type[PipelineSettings]) -> None:
    """A misspelled setting would go on with its default, which nobody might notice for months."""
    environment.setenv("FUSE_SYNC_TOPIC_PARTITION", "6")
    assert _faults(kind) == ("FUSE_SYNC_TOPIC_PARTITION: no such setting; did you mean FUSE_SYNC_TOPIC_PARTITIONS?",)


def test_a_variable_like_no_other_is_told_where_to_look(environment: MonkeyPatch) -> None:
    """Where no guess would help."""
    environment.setenv("FUSE_SYNC_" + "Q" * 60, "1")
    (sentence,) = _faults()
    assert "docs/settings.md" in sentence


def test_one_process_may_have_the_variables_of_the_other(environment: MonkeyPatch) -> None:
    """Both are often given one file; a setting that another process reads is none that nothing reads."""
    environment.setenv("FUSE_SYNC_INGRESS_PORT", "9000")
    environment.setenv("FUSE_SYNC_GROUP", "relay")
    assert load(IngressSettings).ingress_port == 9000
    assert load(ConsumerSettings).group == "relay"


def test_variables_of_other_programs_are_left_alone(environment: MonkeyPatch) -> None:
    """Only those with the prefix are ours."""
    environment.setenv("FUSE_API_KEY", "x")
    Path(".env").write_text("ACME_FUSE_API_KEY=x\n", encoding="utf-8")
    assert load(IngressSettings).topic == "fuse.webhooks"


def test_a_dotenv_file_is_read_and_the_environment_wins(environment: MonkeyPatch) -> None:
    """A file for the machine, a variable for the one time."""
    Path(".env").write_text("FUSE_SYNC_TOPIC=from.file\nFUSE_SYNC_GROUP=from-file\n", encoding="utf-8")
    environment.setenv("FUSE_SYNC_TOPIC", "from.environment")
    settings = load(ConsumerSettings)
    assert (settings.topic, settings.group) == ("from.environment", "from-file")


def test_an_override_wins_over_both(environment: MonkeyPatch) -> None:
    """As command-line options do."""
    environment.setenv("FUSE_SYNC_GROUP", "from-environment")
    assert load(ConsumerSettings, group="from-option").group == "from-option"


def test_a_wrong_override_is_told_like_any_other_mistake() -> None:
    """By the name that it has everywhere."""
    (sentence,) = _faults(ConsumerSettings, group="a/b")
    assert sentence.startswith("FUSE_SYNC_GROUP: ")


def test_librdkafka_settings_are_texts_as_librdkafka_wants_them(environment: MonkeyPatch) -> None:
    """Numbers and truths may be written as JSON has them."""
    given = {"security.protocol": "SASL_SSL", "enable.ssl.certificate.verification": False, "linger.ms": 5}
    environment.setenv("FUSE_SYNC_KAFKA_CLIENT", json.dumps(given))
    client = {name: value.get_secret_value() for name, value in load(ConsumerSettings).kafka_client.items()}
    assert client == {
        "security.protocol": "SASL_SSL",
        "enable.ssl.certificate.verification": "false",
        "linger.ms": "5",
    }


def test_no_librdkafka_setting_shows(environment: MonkeyPatch) -> None:
    """Passwords are among them, so none is shown, in whichever way settings are printed."""
    environment.setenv("FUSE_SYNC_KAFKA_CLIENT", json.dumps({"sasl.password": SECRET}))
    settings = load(ConsumerSettings)
    assert isinstance(settings.kafka_client["sasl.password"], SecretStr)
    for shown in (repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()):
        assert SECRET not in shown


@pytest.mark.parametrize("broken", [f'{{"sasl.password": "{SECRET}"', f'["{SECRET}"]', SECRET])
def test_a_broken_client_setting_does_not_show_either(environment: MonkeyPatch, broken: str) -> None:
    """Neither in the sentence nor in a traceback that somebody prints."""
    environment.setenv("FUSE_SYNC_KAFKA_CLIENT", broken)
    with pytest.raises(ConfigurationError) as caught:
        load(ConsumerSettings)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_no_value_of_any_setting_is_quoted(environment: MonkeyPatch) -> None:
    """A secret that was put into the wrong variable is not spread by its complaint."""
    environment.setenv("FUSE_SYNC_MAX_BODY_BYTES", SECRET)
    environment.setenv("FUSE_SYNC_LOG_LEVEL", SECRET)
    environment.setenv("FUSE_SYNC_PASSWORD", SECRET)
    assert SECRET not in "".join(_faults())


def test_settings_cannot_be_changed_while_running() -> None:
    """What a process does is what it said at its start."""
    with pytest.raises(ValueError, match="frozen"):
        load(IngressSettings).topic = "other"  # type: ignore[misc] # mypy knows it too


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_has_a_unit_and_a_sentence(kind: type[PipelineSettings]) -> None:
    """The reference page is nothing but these."""
    for field in kind.model_fields.values():
        assert isinstance(field.json_schema_extra, dict)
        assert field.json_schema_extra["unit"]
        assert field.description
        assert field.description.endswith(".")


def test_the_reference_page_names_every_setting_once() -> None:
    """Those that both processes share stand apart."""
    page = reference_page()
    for kind in KINDS:
        for name in kind.model_fields:
            assert page.count(f"| `{variable(name)}` |") == 1


def test_the_committed_reference_page_is_what_the_code_says(
    environment: MonkeyPatch, capsys: CaptureFixture[str]
) -> None:
    """Run `make docs` where it is not."""
    environment.setattr(sys, "argv", ["schemas", "settings"])
    assert main() == 0
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == capsys.readouterr().out
