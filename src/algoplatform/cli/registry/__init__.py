"""The registries that the command line works on."""
