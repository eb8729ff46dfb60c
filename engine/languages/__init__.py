"""Three query languages, one tree, one executor: LQL (like SQL), JQL (JSON) and NQL (English)."""
