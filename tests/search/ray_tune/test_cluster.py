"""A private Ray that does not start, and a cluster that cannot be joined."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hrnet_search.errors import InputError
from hrnet_search.search.ray_tune import cluster
from hrnet_search.search.ray_tune.cluster import joined_cluster, private_cluster


class Failing:
    """Ray's start, which fails some times before it succeeds."""

    def __init__(self, times: int) -> None:
        self.left, self.folders = times, [""]

    def __call__(self, **options: object) -> None:
        self.left -= 1
        self.folders.append(str(options["_temp_dir"]))
        if self.left >= 0:
            raise RuntimeError("The current node timed out during startup.\nIt may be overloaded")


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.shutdown", lambda: None)


def test_a_start_that_fails_once_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_connect", start := Failing(1))
    with private_cluster(2, 0, tmp_path) as found:
        assert found.private
        assert start.left == -1
    assert not Path(start.folders[-1]).exists()


def test_a_start_that_fails_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_connect", start := Failing(9))
    with pytest.raises(InputError) as raised, private_cluster(2, 0, tmp_path):
        pass
    said = str(raised.value)
    assert "does not start on this machine (The current node timed out during startup. It" in said
    assert "\n" not in said
    assert start.left == 7
    assert not Path(start.folders[-1]).exists()


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("No such cluster.", "No such cluster."),
        ("No token was\nfound. Ensure that " + "it is there, " * 20, "No token was found"),
        ("Nothing that ends " + "at all " * 40, "Nothing that ends " + "at all " * 26 + "..."),
    ],
    ids=["short", "sentences", "words"],
)
def test_a_cluster_that_cannot_be_joined_is_one_whole_sentence_with_the_way_to_its_token(
    why: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise ConnectionError(why)

    monkeypatch.setattr(cluster, "_knock", lambda _: None)
    monkeypatch.setattr(cluster, "_connect", refuse)
    with pytest.raises(InputError) as raised, joined_cluster("localhost:6399", tmp_path):
        pass
    assert str(raised.value) == (
        f"--ray: localhost:6399 cannot be joined ({said}), allowed: the address of a running "
        "cluster, as `ray start` printed it, and its token: `ray get-auth-token --generate`, on "
        "every machine (docs/cluster.md)"
    )


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_listens_is_not_waited_for(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_connect", lambda **_: pytest.fail("Ray was asked"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
    with (
        pytest.raises(InputError, match=r"cannot be joined \(.*refused\), allowed"),
        joined_cluster(address, tmp_path),
    ):
        pass
