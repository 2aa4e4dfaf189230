"""One HTTP connection: uvicorn's protocol with limits."""
