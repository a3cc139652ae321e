"""The sync call that both sides of the consumer's benchmark make: the same body and as many headers."""

PATH = "/v1/financial_connections/sync"
BODY = b'{"remote_data":"' + b"x" * 1000 + b'"}'
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/plain, */*",
    "Fuse-Client-Id": "benchmark-client",
    "Fuse-Api-Key": "benchmark-api-key",
    "Fuse-Verification": "x" * 44,
    "Plaid-Client-Id": "plaid-client",
    "Plaid-Secret": "plaid-secret",
    "Idempotency-Key": "019ac7b2-0000-7000-8000-000000000000:0",
}
TENANTS = f"""\
allow_literals = true
[tenants.acme.sandbox]
client_id = "{HEADERS["Fuse-Client-Id"]}"
api_key = "{HEADERS["Fuse-Api-Key"]}"
[tenants.acme.sandbox.plaid]
client_id = "{HEADERS["Plaid-Client-Id"]}"
secret = "{HEADERS["Plaid-Secret"]}"
"""
