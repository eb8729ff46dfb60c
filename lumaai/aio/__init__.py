"""The asynchronous client: `lumaai.connect_async("http://…")`, the calls of `lumaai.Client` as coroutines.

Most of these modules are made from the blocking ones by `make twins` (`tests/lumaai/aio/generate.py`), so that each
call is written once; `streams` and `ingesting` are written by hand.
"""
