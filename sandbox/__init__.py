"""A Fuse to play with: a fake API that checks what it receives, a webhook generator, and the demo."""
