"""The demo: the whole path on this machine, disturbed on purpose, and a verdict at the end."""

from sandbox.demo.story import main

__all__ = ["main"]
