"""Why a connection waits: facts are gathered, and a pure function names the cause."""
