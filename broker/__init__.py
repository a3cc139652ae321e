"""The only door to Kafka: publisher, subscription, topic administration, the embedded broker."""
