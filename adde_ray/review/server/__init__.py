"""The review page's server: what is in the store, over HTTP, to people's browsers. No Ray, no torch, nothing heavy.

`make_app` builds it, `serve` runs it. Both need the extra `review`.
"""
