"""Watching: waits for something while it looks after the processes and shows the progress."""

import asyncio
import time
from collections.abc import Callable

from sandbox.demo.pipeline import Pipeline
from sandbox.demo.progress import Progress, measure
from sandbox.demo.screen import Screen
from sandbox.inquiry import Inquiry
from sandbox.manifest import Notes

_LOOK_EVERY_SECONDS = 0.25


class Watch:
    """Look at a pipeline four times a second and show what is seen."""

    def __init__(self, pipeline: Pipeline, inquiry: Inquiry, notes: Notes, screen: Screen) -> None:
        self._pipeline = pipeline
        self._inquiry = inquiry
        self._notes = notes
        self._screen = screen
        self._begun = time.monotonic()

    async def until(self, reached: Callable[[Progress], bool], *, within: float) -> bool:
        """Watch until it is reached, and say whether it was within so many seconds. Raises ChildEnded."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            progress = await self._look()
            self._screen.show(progress)
            if reached(progress):
                return True
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        return False

    async def _look(self) -> Progress:
        self._pipeline.check()
        summary = await self._inquiry.summary()
        return measure(time.monotonic() - self._begun, self._notes, summary, self._pipeline.members)
