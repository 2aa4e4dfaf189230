"""A client of OCI registries: whether an image is there, and what it is made of.

A host in an image's name is chosen by whoever registers the image, so no connection is made to a host that the
settings do not name, and nothing that a registry answers is trusted with memory, time or credentials.
"""
