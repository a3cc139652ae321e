"""The error tree. The first level says who has to act next.

FuseSyncError
├── Rejected                 the sender, with another request
│   ├── NotJson              the body is not one JSON text in UTF-8
│   ├── TooDeep              the body nests deeper than the limit
│   ├── AmbiguousJson        readers of the body would disagree about what it says
│   ├── InvalidSignature     nobody who holds a key of this tenant signed the body
│   ├── BodyTooLarge         the body exceeds the limit
│   ├── BodyTooSlow          the body did not arrive in time
│   ├── BodyIncomplete       the body broke off
│   ├── UnsupportedMedia     the body is declared to be something else than plain JSON
│   └── OverLimit            the tenant sends more than its ingest limit
├── Retryable                we, later
│   ├── Busy                 this process has all the work it may hold
│   ├── QueueFull            the publisher's queue is at its bound
│   ├── DestinationDown      whoever a handler calls is out of order, whatever the event
│   ├── Misconfigured        a tenant's keys or credentials are wrong, whatever the event
│   └── NotAcknowledged      Kafka did not acknowledge a record within the deadline
└── Permanent                a person
    ├── ConfigurationError   settings, tenants or topics are wrong; every fault is listed
    ├── MembershipRefused    Kafka does not have this process as a member of its group
    ├── UnpublishableRecord  Kafka will never take this record
    └── UnreadableRecord     a record on the topic does not follow the contract
"""

from collections.abc import Sequence


class FuseSyncError(Exception):
    """Anything this project raises on purpose."""


class Rejected(FuseSyncError):
    """The sender has to send something else; sending the same again cannot help."""


class NotJson(Rejected):
    """The body is not one JSON text in UTF-8 (RFC 8259, without a byte order mark)."""


class TooDeep(Rejected):
    """The body nests arrays and objects deeper than the limit."""


class AmbiguousJson(Rejected):
    """The body repeats a key in one object or has a key `__proto__`: parsers disagree about such a text."""


class InvalidSignature(Rejected):
    """No active key of the tenant gives the signature, or the tenant is unknown. On purpose one error for both."""


class BodyTooLarge(Rejected):
    """The body exceeds the limit in bytes."""


class BodyTooSlow(Rejected):
    """The body did not arrive within the time allowed."""


class BodyIncomplete(Rejected):
    """The body broke off: the sender went away, or its transfer coding is broken."""


class UnsupportedMedia(Rejected):
    """The request declares a content type other than JSON, or a content encoding."""


class OverLimit(Rejected):
    """The tenant sends more webhooks per second than its ingest limit allows."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"over the tenant's ingest limit, free again in {retry_after:.3f} s")
        self.retry_after = retry_after


class Retryable(FuseSyncError):
    """It did not work now and may work later.

    `retry_after` is the least number of seconds to wait, where the other side named one; `status` the HTTP status of
    its answer, where there was one.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status


class Busy(Retryable):
    """This process handles as many requests as it may."""


class QueueFull(Retryable):
    """The publisher holds as many unacknowledged records, or bytes of them, as it may."""


class DestinationDown(Retryable):
    """The other side as a whole seems not to work: no connection, no answer in time, or a failure of its own."""


class Misconfigured(Retryable):
    """The tenant's configuration is wrong: no event of the tenant can be handled before a person mends it."""


class NotAcknowledged(Retryable):
    """Kafka did not acknowledge the record within the deadline; whether it is in the log is not known."""


class Permanent(FuseSyncError):
    """It will not work until a person changes something. `status` is as in Retryable."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConfigurationError(Permanent):
    """Settings, tenants or topics are wrong. `faults` holds one sentence for each thing to mend."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class MembershipRefused(Permanent):
    """Kafka does not have this process as a member of its group, for its settings or for another process."""


class LogCut(Permanent):
    """A log lost records at its end, or was made anew, while it was read: what was known of it holds no longer."""


class UnpublishableRecord(Permanent):
    """Kafka will never take this record: too large, not authorised, or a fatal producer error."""


class UnreadableRecord(Permanent):
    """A record on the topic does not follow the contract; `reason` is a stable word for logs and counters."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
