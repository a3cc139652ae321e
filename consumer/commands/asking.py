"""What the commands that only ask have in common: how they end."""

import sys
from collections.abc import Callable

from schemas.errors import ConfigurationError, Retryable, UnreadableRecord
from schemas.settings import variable

_SERVERS = variable("kafka_bootstrap_servers")
_INTERRUPTED = 130
"""As shells have it for what Ctrl-C ended."""
EXIT_STATUSES = "2: wrong usage or configuration, or records of a later release; 3: Kafka did not answer."


def ask(command: Callable[[], int]) -> int:
    """Run a command to its end and give its exit status; what keeps it from an answer goes to standard error."""
    try:
        return command()
    except (ConfigurationError, UnreadableRecord) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Retryable as error:
        sys.stderr.write(
            f"Kafka does not answer: {error}\nLook at FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS and the brokers.\n"
        )
        return 3
    except KeyboardInterrupt:
        return _INTERRUPTED
