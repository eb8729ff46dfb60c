"""HTTP/1.1 to one service over kept-alive sockets: messages without input and output, blocking streams, a pool.

The client's own, because a search takes the service about as long as a general library takes to ask for it (processor
time a request, `python -m benchmarks clients`). Speaks what the service speaks: no redirects, cookies or compression.
"""
