"""HTTP in, Kafka out: `receive` is the path of a webhook."""
