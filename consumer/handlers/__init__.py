"""What groups do with events. One module per handler, and one for what a handler sends."""
