"""What people build for the same with well-known libraries, measured beside ours: `python -m benchmarks.peers`.

The programs here run in an environment of their own, `.venv-peers`, and import nothing of the project.
"""
