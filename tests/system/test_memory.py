import platform
import weakref

import psutil
import pytest

from prenda.system.memory import available_memory, release_memory

SMALL, HELD = 2**16, 2**28  # bytes


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries decide for themselves")
def test_free_memory_goes_back_to_the_system():
    blocks = [bytes([1]) * SMALL for _ in range(HELD // SMALL)]
    last = blocks[-1]  # keeps the heap from being cut at its end
    process = psutil.Process()
    before = process.memory_info().rss
    del blocks
    release_memory()
    assert before - process.memory_info().rss > 0.9 * HELD
    assert len(last) == SMALL


def test_garbage_goes_too():
    class Ring:
        def __init__(self) -> None:
            self.ring = self

    gone = weakref.ref(Ring())
    release_memory()
    assert gone() is None


@pytest.mark.skipif(platform.system() != "Linux", reason="other systems do not tell")
def test_available_memory_is_a_part_of_all():
    available = available_memory()
    assert available is not None
    assert 0 < available < psutil.virtual_memory().total
