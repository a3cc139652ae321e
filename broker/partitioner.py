"""The partitioner: in which partition a key lies, as Java's default partitioner and our producer decide. Pure."""

_FACTOR, _MASK, _SEED = 0x5BD1E995, 0xFFFFFFFF, 0x9747B28C
MOST_POSITIVE = 0x7FFFFFFF
"""Masks the sign of a hash away."""


def partition_of(key: bytes, partitions: int) -> int:
    """Give the partition of a key that is not empty: its hash without the sign, by the number of partitions."""
    return (murmur2(key) & MOST_POSITIVE) % partitions


def murmur2(data: bytes) -> int:
    """Hash as Kafka's Java client does: MurmurHash2 with 32 bits and that client's seed; the result is signed."""
    state = _SEED ^ len(data)
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _FACTOR & _MASK
        state = state * _FACTOR & _MASK ^ (word ^ word >> 24) * _FACTOR & _MASK
    if rest := data[whole:]:
        state = (state ^ int.from_bytes(rest, "little")) * _FACTOR & _MASK
    state = (state ^ state >> 13) * _FACTOR & _MASK
    state ^= state >> 15
    return state - (1 << 32) if state >> 31 else state
