#!/usr/bin/env python3
"""Scores what the example `quality` kept with --out: reference PESQ, wideband (ITU-T P.862.2).

Needs Python 3.9 or later and the packages `numpy` and `pesq`; the latter is built with a C compiler:

    python3 -m pip install numpy pesq

    python3 examples/quality/reference.py DIR [DIR ...]

Prints, for each line of the table, the mean over all files and seeds, how far it lies below the codec alone (for each
file against that file), and the worst file.
"""

import sys
import wave
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from pesq import pesq

RATE = 16_000


def read(path):
    """A 48 kHz mono WAV at 16 kHz."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2), path
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64) / 32768
    # A windowed sinc that passes up to 7.6 kHz, then every third sample.
    n = np.arange(-192, 193)
    low = np.sinc(2 * 7_600 / 48_000 * n) * np.kaiser(len(n), 8)
    return np.convolve(sound, low / low.sum(), "same")[::3].astype(np.float32)


def score(job):
    said, heard = job
    return pesq(RATE, read(said), read(heard), "wb")


def main(folder):
    rows, said = defaultdict(list), {}
    for line in (folder / "list.tsv").read_text().splitlines():
        row, of, name = line.split("\t")
        if row == "said":
            said[of] = folder / name
        else:
            rows[row].append((of, folder / name))
    jobs = [(said[of], path) for entries in rows.values() for of, path in entries]
    with ProcessPoolExecutor() as pool:
        scores = iter(list(pool.map(score, jobs)))
    alone = {}
    print(f"{folder}\n{'loss a link':<12} {'PESQ':>6} {'below':>6} {'worst':>6}  of")
    for row, entries in rows.items():
        values = [(next(scores), of, path) for of, path in entries]
        if not alone:
            alone = {of: value for value, of, _ in values}
        mean = sum(value for value, *_ in values) / len(values)
        below = sum(alone[of] - value for value, of, _ in values) / len(values)
        worst, _, path = min(values)
        print(f"{row:<12} {mean:>6.2f} {below:>6.2f} {worst:>6.2f}  {path.stem}")


for argument in sys.argv[1:]:
    main(Path(argument))
