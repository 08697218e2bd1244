"""The running house: the catalog, one actor for each instance, the shard that owns them, and the router before them.

It reaches disk, clock and entropy through ports (`ports`) that the service fills; it knows nothing of HTTP.
"""
