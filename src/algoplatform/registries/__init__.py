"""A client of OCI registries: whether an image is there, and what it is made of.

Whoever may register an image chooses the host in its name. So the client connects only to hosts that the settings
name, sends credentials only to these, and limits the memory and time that a response can take.
"""
