"""A Ray to run on: a private one that ends with its driver, or a cluster that is there."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hrnet_search.errors import ClusterLostError, Fault, InputError
from hrnet_search.files import open_log
from hrnet_search.search.ray_tune import reaper as keeper

T = TypeVar("T")

MARK = "HRNET_SEARCH_RAY"
DRIVER_LOG = "driver.log"
ANSWER_S = 10.0
"""Given to a cluster to accept a connection."""

OBJECT_STORE_BYTES = 100 * 2**20
"""Results are small and data are in files, so Ray's object store may be small."""

MOST_SAID = 200
"""Characters of one of Ray's errors that stand in a message."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # else a box is printed even with verbose=0
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # else SIGTERM prints a stack of C++
    "RAY_memory_monitor_refresh_ms": "0",  # it kills workers for the memory of other programs
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",  # a busy machine takes its time
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "5",  # of workers that wait for a dead one
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative path in the environment means what it does inline
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # Tune's own state is never read
    "TUNE_WARN_THRESHOLD_S": "1000000",
}


@dataclass(frozen=True, slots=True)
class Resources:
    """What one trial is given: CPUs, a share of a GPU, bytes of memory, and on which nodes.

    `nodes` are Ray's node ids; empty: any.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0
    nodes: tuple[str, ...] = ()

    @property
    def bundle(self) -> dict[str, float]:
        """The resources as Ray spells them."""
        asked = {"CPU": self.cpus, "GPU": self.gpus, "memory": float(self.memory)}
        return {name: amount for name, amount in asked.items() if amount}

    @property
    def selector(self) -> dict[str, str]:
        """The labels that a node must have."""
        return {"ray.io/node-id": f"in({','.join(self.nodes)})"} if self.nodes else {}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray that this process is connected to; `temporary` is a folder for Tune's own files."""

    temporary: Path
    private: bool

    def nodes(self) -> tuple[dict[str, Any], ...]:
        """Return Ray's records of the nodes that are alive."""
        return tuple(node for node in ray.nodes() if node["Alive"])

    def check(self) -> None:
        """Raise ClusterLostError if a process of a private Ray has ended by itself."""
        node = ray._private.worker._global_node if self.private else None
        for kind, _ in node.dead_processes() if node else ():
            raise ClusterLostError(
                f"Ray's {kind} on this machine has ended, and no worker can go on without it;"
                " run the same command again"
            )

    def on_node(
        self,
        node: str,
        call: Callable[[], T],
        gpus: float = 0.0,
        timeout_s: float | None = None,
    ) -> T:
        """Call something on one node and return what it returns."""
        here = NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": 0, "num_gpus": gpus, "max_retries": 0, "scheduling_strategy": here}
        asked = ray.remote(_called).options(**options).remote(call)
        found: T = ray.get(asked, timeout=timeout_s)
        return found

    def call(self, resources: Resources, call: Callable[[], T]) -> T:
        """Call something where a trial could run, with what a trial is given."""
        options: dict[str, Any] = {"num_cpus": resources.cpus, "num_gpus": resources.gpus}
        if resources.selector:
            options["label_selector"] = resources.selector
        try:
            found: T = ray.get(ray.remote(_called).options(max_retries=0, **options).remote(call))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        return found


def _called(call: Callable[[], T]) -> T:
    return call()


@contextmanager
def private_cluster(cpus: float, gpus: float, logs: Path) -> Iterator[Cluster]:
    """Start a Ray of this process alone on this machine, and end all of it at the end.

    No dashboard, no usage reports, a token that only its processes know; its logs go to `logs`.
    Raise InputError if it does not start.
    """
    # Ray puts sockets into this folder, whose paths may not be long.
    folder = Path(tempfile.mkdtemp(prefix="hr-ray-", dir="/tmp"))
    mark, token = secrets.token_hex(8), secrets.token_hex(32)
    kept = _Keeper(mark, folder, logs)
    set_now = {**QUIET, MARK: mark, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    with _environment(set_now, without=("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH")):
        try:
            _start(cpus, gpus, folder)
            with _logging_to(logs):
                yield Cluster(folder, private=True)
        finally:
            try:
                ray.shutdown()
            finally:
                kept.end()


@contextmanager
def joined_cluster(address: str, logs: Path) -> Iterator[Cluster]:
    """Connect to a cluster that is there, with the token that its nodes have.

    Raise InputError if it is not there or refuses. RAY_AUTH_MODE=disabled, set by the user,
    is respected.
    """
    folder = Path(tempfile.mkdtemp(prefix="hr-ray-"))
    with _environment({**QUIET, "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token")}):
        try:
            try:
                _knock(address)
                _connect(address=address)
            except Exception as error:  # of many kinds, for a wrong name, port, token, version
                wrong = f"{address} cannot be joined ({_in_short(error)})"
                allowed = (
                    "the address of a running cluster, as `ray start` printed it, and its "
                    "token: `ray get-auth-token --generate`, on every machine (docs/cluster.md)"
                )
                raise InputError(Fault("--ray", address, wrong, allowed)) from None
            with _logging_to(logs):
                yield Cluster(folder, private=False)
        finally:
            ray.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


class _Keeper:
    """The process that ends a private Ray if this one cannot."""

    def __init__(self, mark: str, folder: Path, logs: Path) -> None:
        command = [sys.executable, "-I", "-S", keeper.__file__, MARK, mark, str(folder), str(logs)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end(self) -> None:
        """Say that the driver is done, and wait until nothing is left."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def _logging_to(logs: Path) -> Iterator[None]:
    """Send what Ray says in this process to a file.

    It prints deaths of workers to standard output whatever it is told, so that is a file too:
    who has something for the terminal keeps a console of its own.
    """
    ray_logger = logging.getLogger("ray")
    with open_log(logs / DRIVER_LOG) as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        before, propagate = ray_logger.handlers, ray_logger.propagate
        ray_logger.handlers, ray_logger.propagate = [handler], False
        try:
            with redirect_stdout(file):
                try:
                    yield
                finally:
                    ray.shutdown()  # in which it still says what ended it, in dozens of lines
        finally:
            ray_logger.handlers, ray_logger.propagate = before, propagate


def _start(cpus: float, gpus: float, folder: Path) -> None:
    """Start a Ray, if need be at a second attempt: it gives itself 30 s, whatever the load."""
    for attempt in (1, 2):
        try:
            _connect(
                address="local",
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder),
            )
            return
        except Exception as error:  # of many kinds, for a busy machine, a full disk, no ports
            ray.shutdown()
            if attempt == 2:
                wrong = f"Ray does not start on this machine ({_in_short(error)})"
                allowed = "without it, one trial at a time; or later, when it is less busy"
                raise InputError(Fault("--workers", cpus, wrong, allowed)) from None


def _in_short(error: Exception) -> str:
    """Return the sentences of an error that fit, or the words if the first does not."""
    text = " ".join(str(error).split())
    if len(text) <= MOST_SAID:
        return text
    end = text.rfind(". ", 0, MOST_SAID)
    return text[:end] if end > 0 else f"{text[:MOST_SAID].rpartition(' ')[0]} ..."


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT, for which Ray would try some minutes."""
    if found := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):
        socket.create_connection((found[1].strip("[]"), int(found[2])), ANSWER_S).close()


def _connect(**options: Any) -> None:
    # Ray read its environment when it was imported, and keeps the first token that it used.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = signal.getsignal(signal.SIGTERM)
        ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's own would exit at once


@contextmanager
def _environment(values: dict[str, str], without: tuple[str, ...] = ()) -> Iterator[None]:
    """Set variables that the user has not set, for Ray reads them when it starts processes."""
    before = {name: os.environ.get(name) for name in (*values, *without)}
    for name in without:
        os.environ.pop(name, None)
    for name, value in values.items():
        if name not in QUIET or name not in os.environ:
            os.environ[name] = value
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
