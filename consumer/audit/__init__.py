"""The audit: every event of a stretch of the source against how it ended, by what is in the log and nothing else."""

from consumer.audit.audit import audit
from consumer.audit.report import Counts, Named, Report
from consumer.audit.span import Span

__all__ = ["Counts", "Named", "Report", "Span", "audit"]
