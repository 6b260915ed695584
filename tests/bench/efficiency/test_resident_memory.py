import os

from bench.efficiency.resident_memory import anonymous_bytes, peak_resident_bytes, reset_peak
from tests.worlds.fresh_process import answer_of

MIB = 2**20


def grown() -> tuple[float, float, float]:
    """MiB that the peak grows by with 200 MiB, that it keeps of them, and that it has after it began anew."""
    reset_peak()
    before = peak_resident_bytes()
    large = bytearray(b"x" * (200 * MIB))
    anonymous = anonymous_bytes(os.getpid())
    del large
    kept = peak_resident_bytes() - before
    reset_peak()
    return kept / MIB, anonymous / MIB, (peak_resident_bytes() - before) / MIB


def test_a_peak_is_kept_until_it_begins_anew() -> None:
    kept, anonymous, after = answer_of(grown)
    # Python makes the bytes first and then copies them.
    assert 195 < kept < 450
    assert anonymous > 200
    assert after < 50


def test_a_process_that_ended_has_no_memory() -> None:
    process = os.fork()
    if process == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        assert anonymous_bytes(process) == 0
    finally:
        os.waitpid(process, 0)
    assert anonymous_bytes(process) == 0
