"""The webhook as Fuse documents it: a description for those who read bodies, not a gate.

Ingress publishes whatever is verified; nothing is refused for not being like this model. Type and source are open
sets and unknown fields are kept, since both have grown without notice.
"""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class WebhookType(StrEnum):
    """The types known today. A webhook of any other type is published all the same."""

    SYNC_DATA = "financial_connection.sync_data"
    DISCONNECTED = "financial_connection.disconnected"
    FINISHED = "financial_connection.finished"
    TRANSACTIONS_UPDATES = "transactions.updates"
    ASSETS_REPORT_READY = "assets.report_ready"


class Webhook(BaseModel):
    """The body of a webhook. Unknown fields are kept in `model_extra`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(
        description="What happened. Open set; known: " + ", ".join(WebhookType) + ".",
        examples=[WebhookType.SYNC_DATA.value],
    )
    financial_connection_id: str = Field(description="The connection, as the public-token exchange named it.")
    environment: str = Field(description="`sandbox` or `production`: which keys signed the body.")
    source: str = Field(description="The aggregator the news came from; open set, may be empty.")
    remote_data: Any = Field(description="The aggregator's own body: a string of JSON, or an object.")
    verification_token: str | None = Field(default=None, description="Aggregator data needed to verify the webhook.")
    asset_report_id: str | None = Field(default=None, description="With assets.report_ready.")
    historical_transactions_available: bool | None = Field(default=None, description="With transactions.updates.")
    removed_transaction_ids: list[str] | None = Field(default=None, description="With transactions.updates.")
