"""Several threads that call at once."""

from __future__ import annotations

import threading


def run_all(bodies):
    """Run functions in a thread each, from one moment on; raise what the first of them raised."""
    errors = []
    start = threading.Barrier(len(bodies))

    def guarded(body):
        start.wait()
        try:
            body()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
