"""Kafka in, handlers out."""
