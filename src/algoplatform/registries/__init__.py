"""A client of OCI registries: whether an image is there, and what it is made of.

The name of an image contains the host of its registry, and any caller that may register images chooses the name.
Therefore the client connects only to hosts that the settings list, sends credentials only to these, and limits the
memory and time that a response can take.
"""
