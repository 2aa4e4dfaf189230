"""The process that serves: a worker of `serve`, or `serve` itself if there is only one."""

import multiprocessing
import signal

from fastapi import FastAPI

from algoplatform.console.mount import app_from_environment
from algoplatform.embedded.processes import end_with_parent


def application() -> FastAPI:
    """Build the application in the process that serves it; a worker drains when its supervisor dies."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None and supervisor.pid is not None:
        end_with_parent(supervisor.pid)
        # By now uvicorn handles the signal.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return app_from_environment()
