"""What is deployed with: `deploy/` against schemas, linters, and a running service."""
