"""The register of record for the container images of an algorithm platform."""

__version__ = "0.1.0"
