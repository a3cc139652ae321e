"""The commands of `python -m consumer`, one module each: `add_to` declares it, and what it declares runs it."""
