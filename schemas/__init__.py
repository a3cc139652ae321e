"""What travels and what is promised: models, record mapping, topics, settings, errors. No network, no clock."""
