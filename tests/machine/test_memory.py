import subprocess
import sys
import textwrap

import pytest

PROGRAM = textwrap.dedent(
    """
    import resource
    import numpy as np
    from aisp_prof.machine.memory import keep_freed_memory

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(8):
            np.ones(1 << 23)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    before = faults()
    kept = keep_freed_memory()
    faults()
    print(int(kept), before, faults())
    """
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is on Linux")
def test_freed_memory_is_used_again():
    """In a process of its own: the wish cannot be taken back."""
    environment = {"PYTHONPATH": ":".join(sys.path), "NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    kept, before, after = map(int, done.stdout.split())
    if not kept:
        pytest.skip("this C library has no mallopt")
    assert before > 8 * 16000
    assert after < 100
