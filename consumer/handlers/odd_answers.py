"""Odd answers: a success whose body is not JSON, which may come from something else than Fuse."""

import orjson
import structlog

from schemas.telemetry import LogEvent


class OddAnswers:
    """Count answers of success that are not JSON; `count` of them since the start. The first is logged."""

    def __init__(self) -> None:
        self.count = 0

    def look_at(self, body: bytes) -> None:
        """Look at the body of a success."""
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError:
            self.count += 1
            if self.count == 1:
                structlog.get_logger().warning(LogEvent.ANSWER_ODD, size=len(body))
