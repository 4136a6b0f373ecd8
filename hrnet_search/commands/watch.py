"""`watch`: the page of a study while it runs, in a browser on this machine."""

from __future__ import annotations

import argparse

from hrnet_search.commands.arguments import add_study, port
from hrnet_search.commands.outcome import DONE, say, warn


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `watch`."""
    add_study(sub)
    sub.add_argument("--port", type=port, default=0, metavar="N", help="a free one if not given")


def command(options: argparse.Namespace) -> int:
    """Show the page of a running study in a browser, kept current, until Ctrl-C."""
    from hrnet_search.report.live import LivePage, Server
    from hrnet_search.store.study import open_study

    with Server(LivePage(open_study(options.study)), options.port, warn) as server:
        say(f"watch: {server.address} (this machine alone; Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return DONE
    return DONE
