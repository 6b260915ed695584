"""Memory of processes as Linux counts it (`/proc`)."""

from pathlib import Path


def reset_peak() -> None:
    """Let this process's peak begin anew at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_resident_bytes() -> int:
    """Highest resident memory of this process since it began or since `reset_peak`, mapped files included."""
    return _field("self", "VmHWM")


def anonymous_bytes(pid: int) -> int:
    """Resident memory of a process that is not the mapping of a file, and so cannot be given back; 0 once it ended."""
    try:
        return _field(str(pid), "RssAnon")
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _field(process: str, name: str) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    # A process that has ended and was not waited for has no memory.
    return 1024 * int(status.partition(f"{name}:")[2].split()[0]) if f"{name}:" in status else 0
