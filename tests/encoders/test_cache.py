from __future__ import annotations

import errno
import multiprocessing
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from app.domain import Case, Image
from app.encoders.cache import DiskCache, NoCache
from app.encoders.cache_files import BLOCK_BYTES
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder

LARGE = 64 * 1024 * 1024


def _vector(seed, width=576):
    return np.random.default_rng(seed).standard_normal(width).astype(np.float32)


def _entries(folder: Path) -> list[Path]:
    return [path for path in (folder / "entries").rglob("*") if path.is_file()]


def _bytes_on_disk(folder: Path) -> int:
    return sum(-(-path.stat().st_size // BLOCK_BYTES) * BLOCK_BYTES for path in _entries(folder))


def test_a_hit_is_the_vector_bit_for_bit(tmp_path):
    cache = DiskCache(tmp_path, LARGE)
    key = cache.key([b"model", b"text"])
    assert cache.get(key) is None
    vector = _vector(0)
    cache.put(key, vector)
    assert np.array_equal(cache.get(key), vector)
    assert DiskCache(tmp_path, LARGE).get(key).dtype == np.float32
    assert (cache.stats.hits, cache.stats.misses) == (1, 1)


def test_keys_depend_on_every_part_and_on_where_parts_end(tmp_path):
    cache = DiskCache(tmp_path, LARGE)
    pixels = np.zeros((2, 3), np.uint8)
    contents = [[b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"abc", b""], [pixels], [pixels, b"x"], [pixels + 1]]
    assert len({cache.key(content) for content in contents}) == len(contents)
    assert cache.key([pixels]) == DiskCache(tmp_path, LARGE).key([pixels.copy()])
    every_second = np.arange(12, dtype=np.float32)[::2]
    assert cache.key([every_second]) == cache.key([every_second.copy()])


def test_names_and_files_say_nothing_about_the_text(tmp_path):
    """The same text has another name in another folder, and no file holds it."""
    text = "가슴이 아파요".encode()
    one, other = DiskCache(tmp_path / "a", LARGE), DiskCache(tmp_path / "b", LARGE)
    assert one.key([text]) != other.key([text])
    one.put(one.key([text]), _vector(0))
    assert all(text not in path.read_bytes() for path in _entries(tmp_path / "a"))
    assert stat.S_IMODE((tmp_path / "a" / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:-4],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"X" + data[1:],
        lambda data: os.urandom(len(data)),
    ],
)
def test_a_damaged_entry_is_removed_counted_and_a_miss(tmp_path, damage):
    cache = DiskCache(tmp_path, LARGE)
    key = cache.key([b"x"])
    cache.put(key, _vector(0))
    (path,) = _entries(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(key) is None
    assert not path.exists()
    assert (cache.stats.damaged, cache.stats.misses) == (1, 1)
    cache.put(key, _vector(0))
    assert np.array_equal(cache.get(key), _vector(0))


def test_the_folder_never_grows_beyond_its_bound(tmp_path):
    bound = 100 * BLOCK_BYTES
    cache = DiskCache(tmp_path, bound)
    for index in range(400):
        cache.put(cache.key([str(index).encode()]), _vector(index))
        if index % 5 == 0:
            assert _bytes_on_disk(tmp_path) <= bound
    assert cache.stats.evicted >= 300
    assert len(_entries(tmp_path)) >= 60


def test_what_was_used_last_stays(tmp_path):
    cache = DiskCache(tmp_path, 100 * BLOCK_BYTES)
    kept = cache.key([b"kept"])
    cache.put(kept, _vector(0))
    os.utime(tmp_path / "entries" / kept[:2] / kept, (1, 1))
    cold = [cache.key([str(index).encode()]) for index in range(50)]
    for age, key in enumerate(cold):
        cache.put(key, _vector(1))
        os.utime(tmp_path / "entries" / key[:2] / key, (100 + age, 100 + age))
    assert cache.get(kept) is not None
    for index in range(60):
        cache.put(cache.key([b"new", str(index).encode()]), _vector(2))
    assert cache.get(kept) is not None
    assert cache.get(cold[0]) is None


def test_an_entry_that_would_fill_the_folder_is_not_kept(tmp_path):
    cache = DiskCache(tmp_path, 2 * BLOCK_BYTES)
    cache.put(cache.key([b"x"]), _vector(0))
    assert _entries(tmp_path) == []


def test_a_full_disk_means_no_caching_and_a_counter(tmp_path, monkeypatch, caplog):
    cache = DiskCache(tmp_path, LARGE)
    key = cache.key([b"x"])

    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    cache.put(key, _vector(0))
    cache.put(key, _vector(0))
    assert cache.stats.write_failures == 2
    assert cache.get(key) is None
    assert _entries(tmp_path) == []  # no temporary file is left
    assert [record.message for record in caplog.records] == [f"embedding_cache_not_writable errno={errno.ENOSPC}"]


@pytest.mark.parametrize("broken", ["a file in the way", "a damaged secret"])
def test_a_folder_that_cannot_be_used_means_no_caching(tmp_path, broken):
    folder = tmp_path / "cache"
    if broken == "a file in the way":
        folder.write_text("")
    else:
        folder.mkdir()
        (folder / "secret").write_bytes(b"short")
    cache = DiskCache(folder, LARGE)
    key = cache.key([b"x"])
    cache.put(key, _vector(0))
    assert cache.get(key) is None
    assert cache.stats.write_failures == 1


def test_a_folder_that_can_only_be_read_still_answers(tmp_path, monkeypatch):
    cache = DiskCache(tmp_path, LARGE)
    good, bad = cache.key([b"good"]), cache.key([b"bad"])
    for key in (good, bad):
        cache.put(key, _vector(0))
    (tmp_path / "entries" / bad[:2] / bad).write_bytes(b"damaged")

    def read_only(*args, **settings):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", read_only)
    monkeypatch.setattr(os, "utime", read_only)
    assert np.array_equal(cache.get(good), _vector(0))
    assert cache.get(bad) is None
    assert (cache.stats.hits, cache.stats.misses, cache.stats.damaged) == (1, 1, 1)


def test_no_cache_keeps_nothing():
    cache = NoCache()
    key = cache.key([b"x"])
    cache.put(key, _vector(0))
    assert cache.get(key) is None


@pytest.mark.parametrize("encoder", ["omni", "medical"])
def test_what_is_not_to_be_kept_is_neither_looked_up_nor_stored(omni_folder, medical_folder, tmp_path, encoder):
    """A picture with a part covered: nobody sends it again, and a cache full of them would serve nobody."""
    cache = DiskCache(tmp_path, LARGE)
    loaded = (
        OmniEncoder.load(omni_folder, threads=1, cache=cache)
        if encoder == "omni"
        else MedicalEncoder.load(medical_folder, threads=1, cache=cache)
    )
    case = Case(language="en", text="cough", images=(Image(np.zeros((32, 32, 3), np.uint8)),))
    once = loaded.encode(case, keep=False)
    assert (cache.stats.hits, cache.stats.misses, _entries(tmp_path)) == (0, 0, [])
    kept = loaded.encode(case)
    misses = cache.stats.misses
    assert misses == len(kept) == len(_entries(tmp_path)) > 0
    again = loaded.encode(case, keep=False)
    assert (cache.stats.hits, cache.stats.misses) == (0, misses)
    for one, two, three in zip(once, kept, again, strict=True):
        assert one.source == two.source == three.source
        assert np.array_equal(one.vector, two.vector)
        assert np.array_equal(two.vector, three.vector)


def test_two_processes_share_a_small_folder(tmp_path):
    """Both write, read, evict and damage at once: every hit is right and the bound holds."""
    bound = 200 * BLOCK_BYTES
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_hammer, args=(tmp_path, bound, seed, queue)) for seed in (1, 2)]
    for worker in workers:
        worker.start()
    results = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0
    assert all(wrong == 0 and hits > 50 for wrong, hits, _ in results), results
    assert max(largest for _, _, largest in results) <= bound


def _hammer(folder, bound, seed, queue):
    cache = DiskCache(folder, bound)
    rng = np.random.default_rng(seed)
    wrong = largest = 0
    for step in range(1500):
        index = int(rng.integers(0, 300))
        key = cache.key([str(index).encode()])
        found = cache.get(key)
        if found is None:
            cache.put(key, _vector(index))
        elif not np.array_equal(found, _vector(index)):
            wrong += 1
        if step % 50 == 0:
            (folder / "entries" / key[:2] / key).write_bytes(b"damaged")
            largest = max(largest, _bytes_on_disk_shared(folder))
    queue.put((wrong, cache.stats.hits, largest))


def _bytes_on_disk_shared(folder):
    total = 0
    for path in _entries(folder):
        try:
            total += -(-path.stat().st_size // BLOCK_BYTES) * BLOCK_BYTES
        except FileNotFoundError:
            continue
    return total
