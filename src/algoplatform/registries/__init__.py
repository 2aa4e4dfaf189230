"""A client of OCI registries: whether an image is there, and what it is made of.

A caller who registers an image chooses the host in its name. So the client connects to no host that the settings do
not name, and limits the memory, time and credentials that an answer can take.
"""
