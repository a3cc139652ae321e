"""A consumer member as seen from outside: its process id and partitions, read from its log."""

from collections.abc import Mapping

import orjson

from sandbox.demo.child import Child
from schemas.telemetry import LogEvent


class Member:
    """A consumer in a process of its own; `pid` is 0 until it has said so."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.pid = 0
        self.partitions: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """Name the process."""
        return self.child.name

    def follow(self) -> None:
        """Take note of what it has logged since the last look."""
        for line in self.child.new_lines():
            self._note(log_fields(line))
        if not self.child.running:
            self.partitions = frozenset()

    def _note(self, fields: Mapping[str, object]) -> None:
        partition = fields.get("partition")
        match fields.get("event"):
            case LogEvent.MEMBER_STARTED:
                self.pid = int(str(fields["pid"]))
            case LogEvent.PARTITION_STARTED if isinstance(partition, int):
                self.partitions |= {partition}
            case LogEvent.PARTITION_RELEASED | LogEvent.PARTITION_LOST if isinstance(partition, int):
                self.partitions -= {partition}


def log_fields(line: bytes) -> Mapping[str, object]:
    """Read a line of a log; a line that is no JSON object, such as one of a traceback, has no fields."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}
