"""A real PostgreSQL and a real MLflow server, on loopback, for tests to kill and start again."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def postgres_programs() -> Path | None:
    """Return the folder of Debian's PostgreSQL, None if it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def why_no_postgres() -> str:
    """Return why PostgreSQL cannot be had here, empty if it can."""
    if postgres_programs() is None:
        return "PostgreSQL is not installed (Debian's package postgresql)"
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return "there is no user postgres"
    if os.getuid() != 0:
        return "only root may start a cluster as user postgres"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (the extra postgres)"
    return ""


def free_port() -> int:
    """Return a port that the kernel hands to nobody while the server is down between two starts."""
    while True:
        port = random.SystemRandom().randrange(20_001, 32_000)  # not of ip_local_port_range
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Postgres:
    """A private cluster, in a folder of its own, that listens on loopback alone."""

    def __init__(self, folder: Path) -> None:
        programs = postgres_programs()
        assert programs, "asked for only where it is installed"
        self._programs, self._folder, self.port = programs, folder, free_port()
        folder.mkdir()
        shutil.chown(folder, "postgres")
        self._data = folder / "data"
        self._run("initdb", "-A", "trust", "-E", "UTF8", "-D", str(self._data))
        self.start()

    def database(self, name: str) -> str:
        """Make a database and return its URL: MLflow and Optuna cannot share one."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), name)
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        where = f"-p {self.port} -c listen_addresses=127.0.0.1"
        where += f" -c unix_socket_directories={self._folder}"
        log = str(self._folder / "log")
        self._run(
            "pg_ctl", "-w", "-t", "120", "-D", str(self._data), "-o", where, "-l", log, "start"
        )

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-w", "-D", str(self._data), "-m", "immediate", "stop")

    def _run(self, program: str, *words: str) -> None:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        command += [str(self._programs / program), *words]
        subprocess.run(
            command, check=True, cwd=self._folder, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip


class MlflowServer:
    """`mlflow server` without job execution, two processes that listen on loopback."""

    def __init__(self, folder: Path, store: str) -> None:
        self._folder, self._store, self.port = folder, store, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", self._store]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        extra = {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        with (self._folder / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **extra},
                start_new_session=True, cwd=self._folder,
            )  # fmt: skip
        deadline = time.monotonic() + 600
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "mlflow.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
