"""Where a command works for long, how far it is and the time left are seen on every terminal."""

from __future__ import annotations

import io

from rich.console import Console

from hrnet_search.commands.working import LINE_S, Pace, bar, plain_lines


class Clock:
    """Time that passes where it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_come_where_nothing_was_said_for_a_while() -> None:
    said: list[str] = []
    clock = Clock()
    told = plain_lines(said.append, Pace(1, clock), clock)
    for done in range(6):
        told(done, 6, f"onnx: part {done}")
        clock.now += LINE_S / 2
    assert said == ["[2/6] onnx: part 2, 20 s left", "[4/6] onnx: part 4, 10 s left"]


def test_a_bar_says_the_part_and_the_time_left_and_is_gone_at_the_end() -> None:
    clock, file = Clock(), io.StringIO()
    console = Console(file=file, force_terminal=True, width=80)
    with bar(console, Pace(1, clock)) as told:
        told(0, 4, "onnx: [one]")
        clock.now = 20
        told(1, 4, "onnx: two\x1b[2J")
        console.print("two.onnx: 3.1 ms", highlight=False)
    shown = file.getvalue()
    assert "1/4" in shown
    assert "onnx: two\\x1b[2J, 60 s left" in shown
    assert "two.onnx: 3.1 ms" in shown
    assert "left" not in shown.rpartition("\x1b[1A")[2]


def test_the_time_left_counts_whole_rounds_where_parts_are_unlike() -> None:
    """A second for a config, then 59 for an ONNX file, four times."""
    clock = Clock()
    pace, said = Pace(2, clock), []
    for done in range(8):
        said.append(pace.left(done, 8))
        clock.now += 59 if done % 2 else 1
    assert said == ["", "", ", 3 min left", ", 2 min left", ", 2 min left", ", 2 min left",
                    ", 60 s left", ", 30 s left"]  # fmt: skip


def test_what_begins_anew_is_at_its_own_pace() -> None:
    """A hundred trials of six seconds to one mirror, then as many of a tenth to another."""
    clock = Clock()
    pace = Pace(1, clock)
    clock.now += 1000  # whatever was read before the first part
    for done in range(100):
        pace.left(done, 100)
        clock.now += 6
    assert pace.left(0, 100) == ""
    clock.now += 0.1
    assert pace.left(1, 100) == ", 10 s left"
