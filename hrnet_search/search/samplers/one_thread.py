"""One thread for the algebra of a sampler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS take one thread.

    Matrices of a few hundred rows gain nothing by threads, which wait for each other where other
    work shares the cores; and the sums of one thread are the same on every machine.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
