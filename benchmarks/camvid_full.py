"""The published W18-Small-v1 and a study's pick of no more latency, trained in full on CamVid.

    python -m benchmarks.camvid_full STUDY CAMVID --out DIR [--steps 6000] [--seeds 0 1 2]
    python -m benchmarks.camvid_full STUDY CAMVID --out DIR --report docs/proof-camvid.md

trains both with each seed at 96x128, by the study's schedule stretched, each in a folder below DIR
that the same command goes on with; so it may be stopped at any time. The pick is the best network
within the latency that the study measured of W18-Small-v1. With `--report` it writes the table:
mIoU at the end and at its best, with 95% intervals over images, and the paired difference by seed.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path

from scipy.stats import t as student

import hrnet_search
from hrnet_search.space.published import PUBLISHED
from hrnet_search.store.evaluations import miou_interval, read_confusions
from hrnet_search.store.trainings import (
    LAST,
    evaluation_file,
    is_training,
    read_record,
    read_results,
)

PUBLISHED_NAME = "w18-small-v1"
PICK, BASE = "pick", "published"


def main() -> None:
    """Train what is not trained yet, or write the table of what is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("camvid", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    study = hrnet_search.open_study(options.study)
    trials = {BASE: published_trial(study), PICK: picked_trial(study)}
    if options.report:
        lines = report(options.out, options.seeds, trials, study)
        options.report.write_text("\n".join(lines) + "\n")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for name, trial in trials.items():
            hrnet_search.train(
                options.study,
                options.out / f"{name}-{seed}",
                trial=trial,
                data_root=options.camvid,
                steps=options.steps,
                seed=seed,
                judged=20,
                progress=True,
            )


def published_trial(study: hrnet_search.Study) -> int:
    """Return the trial of the published network in a study; raise SystemExit if it has none."""
    wanted = PUBLISHED[PUBLISHED_NAME].id
    rows = study.variants()
    rows = rows[rows["architecture"] == wanted]
    if rows.empty:
        raise SystemExit(f"the study has no trial of {PUBLISHED_NAME} ({wanted})")
    return int(rows["number"].tolist()[0])


def picked_trial(study: hrnet_search.Study) -> int:
    """Return the best trial of no more latency than the published network's."""
    rows = study.variants()
    latency = dict(zip(rows["number"].tolist(), rows["latency_ms"].tolist(), strict=True))
    miou = dict(zip(rows["number"].tolist(), rows["miou"].tolist(), strict=True))
    most = latency[published_trial(study)]
    return int(max((n for n in miou if latency[n] <= most), key=miou.__getitem__))


def report(
    out: Path, seeds: list[int], trials: dict[str, int], study: hrnet_search.Study
) -> Iterator[str]:
    """Yield the table in markdown, of the trainings that have ended."""
    yield "# The pick of a study against W18-Small-v1, trained in full on CamVid"
    yield ""
    yield (
        f"Study: {study.name}. Written by `python -m benchmarks.camvid_full`; what it says is in"
        " [LOG.md](LOG.md)."
    )
    yield ""
    yield from networks(trials, study)
    yield ""
    yield "| network | trial | seed | steps | mIoU at the end | 95% over images | best |"
    yield "| --- | --: | --: | --: | --: | --- | --: |"
    finals: dict[tuple[str, int], float] = {}
    for name, trial in trials.items():
        for seed in seeds:
            folder = out / f"{name}-{seed}"
            results = read_results(folder) if is_training(folder) else None
            if results is None or results.final is None or results.best is None:
                yield f"| {name} | {trial} | {seed} | not ended | | | |"
                continue
            finals[name, seed] = results.final.miou
            found = read_confusions(evaluation_file(folder, LAST))
            assert found is not None, f"{folder}: its evaluation is damaged"
            low, high = miou_interval(found)
            steps = read_record(folder).schedule.schedule.steps
            yield (
                f"| {name} | {trial} | {seed} | {steps} | {results.final.miou:.2%} |"
                f" {low:.2%} to {high:.2%} | {results.best.miou:.2%} |"
            )
    yield from difference(finals, seeds)


def networks(trials: dict[str, int], study: hrnet_search.Study) -> Iterator[str]:
    """Yield what the study knew of both when it was asked for the pick."""
    yield "| network | trial | parameters | MACs | latency in the study | mIoU in the study |"
    yield "| --- | --: | --: | --: | --: | --: |"
    for name, trial in trials.items():
        (result,) = (result for ask, result in study.ended() if ask.number == trial)
        assert result.cost, "it was trained"
        assert result.latency, "it was picked by it"
        ms = f"{result.latency.ms:.1f} ms{' noisy' if result.latency.noisy else ''}"
        yield (
            f"| {name} | {trial} | {result.cost.params / 1e6:.2f} M |"
            f" {result.cost.macs / 1e6:.0f} M | {ms} | {result.rungs[-1].miou:.2%} |"
        )


def difference(finals: dict[tuple[str, int], float], seeds: list[int]) -> Iterator[str]:
    """Yield how much better the pick is, with Student's interval of the paired differences."""
    pairs = [(finals.get((PICK, seed)), finals.get((BASE, seed))) for seed in seeds]
    paired = [100 * (a - b) for a, b in pairs if a is not None and b is not None]
    if len(paired) < 2:
        return
    mean, error = statistics.mean(paired), statistics.stdev(paired) / len(paired) ** 0.5
    half = float(student.ppf(0.975, len(paired) - 1)) * error
    shown = "No difference is shown." if abs(mean) <= half else "That is significant."
    yield ""
    yield (
        f"The pick is {mean:+.2f} points by the mean of {len(paired)} seeds, 95% interval"
        f" [{mean - half:+.2f}, {mean + half:+.2f}]; by seed"
        f" {', '.join(f'{d:+.2f}' for d in paired)}. {shown}"
    )


if __name__ == "__main__":
    main()
