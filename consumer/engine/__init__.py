"""The sans-I/O core: inputs in, commands out; no clock, no randomness, no Kafka, no asyncio."""
