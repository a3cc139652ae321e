"""The partitioner against the values that Kafka's own tests expect; the publisher's test compares it with a cluster."""

import pytest

from broker.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_gives_the_values_that_java_gives(data: bytes, known: int) -> None:
    """The values are those that Apache Kafka's own tests expect of its Java client."""
    assert murmur2(data) == known


def test_the_sign_of_a_hash_is_taken_off() -> None:
    """A partition has no sign: Java takes the highest bit off, and does not negate."""
    assert partition_of(b"21", 7) == (-973932308 & 0x7FFFFFFF) % 7
