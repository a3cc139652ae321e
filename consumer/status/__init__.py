"""The status of a group: how old the oldest unsettled event is, and who does what, as the log has it now."""

from consumer.status.report import PartitionStatus, Status, TenantStatus
from consumer.status.status import status

__all__ = ["PartitionStatus", "Status", "TenantStatus", "status"]
