"""The kinds of settings: what a value may be, and the sentence that says so."""

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from schemas.relay_target import signing_key
from schemas.topics import is_legal_name
from schemas.urls import BASE_URL_RULE, is_base_url

STEPS = ("retry", "down", "misconfigured", "ignored", "dead")
"""What can be set for a code or status of an answer; see `consumer.failures`."""


def setting(default: object, unit: str, description: str, **bounds: float) -> Any:  # noqa: ANN401 - as pydantic's Field
    """Declare a setting, with its unit and a sentence for the reference page."""
    field: Any = Field  # its bounds are typed one by one, which they are not here
    return field(default, description=description, json_schema_extra={"unit": unit}, **bounds)


def _topic_name(name: str) -> str:
    if not is_legal_name(name):
        raise ValueError("must be 1 to 249 of letters, digits, '.', '_' and '-'")
    return name


def _json_object(value: object) -> object:
    pairs = _json_pairs(value)
    if not isinstance(pairs, dict) or pairs is value:
        return value
    return {name: _librdkafka_text(name, given) for name, given in pairs.items()}


def _json_pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        pairs = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise ValueError("must be a JSON object") from None
    if not isinstance(pairs, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - pydantic turns ValueError into a fault
    return pairs


def _steps(value: object) -> object:
    steps = _json_pairs(value)
    if isinstance(steps, dict) and not all(step in STEPS for step in steps.values()):
        raise ValueError(f"must say one of {', '.join(STEPS)} for each code or status")
    return steps


def _librdkafka_text(name: str, given: object) -> str:
    if not isinstance(given, str | int | float):
        raise ValueError(f"{name} must be a text, a number or a boolean")  # noqa: TRY004 - as above
    return str(given).lower() if isinstance(given, bool) else str(given)


def _base_url(url: str) -> str:
    if not is_base_url(url):
        raise ValueError(BASE_URL_RULE)
    return url.rstrip("/")


def _relay_url(url: str | None) -> str | None:
    if url is not None and not is_base_url(url):
        raise ValueError(BASE_URL_RULE)
    return url  # as it is: a slash at its end may matter to the receiver


def _signing_secret(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None:
        signing_key(secret)
    return secret


TopicName = Annotated[str, AfterValidator(_topic_name)]
Steps = Annotated[dict[str, str], NoDecode, BeforeValidator(_steps)]
ClientSettings = Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_json_object)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
RelayUrl = Annotated[str | None, AfterValidator(_relay_url)]
SigningSecret = Annotated[SecretStr | None, AfterValidator(_signing_secret)]
