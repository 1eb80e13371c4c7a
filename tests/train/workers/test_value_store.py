import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.records.pool import Pool
from gristmill.train.workers.value_store import ValueStore

NBYTES = 1 << 26


@pytest.fixture
def pool():
    with Pool.create(NBYTES) as pool:
        yield pool


@pytest.fixture
def store(pool):
    return ValueStore(3, pool)


@pytest.fixture
def reader(pool):
    reader = ValueStore(-1, None)
    reader.introduce(3, Pool.attach(pool.fd, pool.nbytes))
    yield reader
    reader.close()


DTYPES = [
    torch.float32,
    torch.float64,
    torch.bfloat16,
    torch.float16,
    torch.int64,
    torch.uint8,
    torch.bool,
    torch.complex64,
]


@st.composite
def views(draw):
    """Any view of a tensor: permuted, sliced, stepped, expanded, from the middle of a storage."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=0, max_size=4))
    dtype = draw(st.sampled_from(DTYPES))
    count = int(torch.tensor(sizes).prod()) if sizes else 1
    lead = draw(st.integers(0, 20))
    values = torch.arange(lead + count) % 251
    tensor = values.to(dtype)[lead:].reshape(sizes)
    if sizes:
        tensor = tensor.permute(draw(st.permutations(range(len(sizes)))))
        for dim in range(tensor.dim()):
            start = draw(st.integers(0, tensor.size(dim)))
            step = draw(st.integers(1, 3))
            tensor = tensor.narrow(dim, start, tensor.size(dim) - start)
            tensor = tensor[(slice(None),) * dim + (slice(None, None, step),)]
        if draw(st.booleans()):
            tensor = tensor.unsqueeze(0).expand(draw(st.integers(1, 4)), *tensor.shape)
    return tensor


@settings(max_examples=100, deadline=None)
@given(tensors=st.lists(views(), min_size=1, max_size=5), data=st.data())
def test_any_view_comes_back_with_its_bits_strides_and_alignment(tensors, data):
    with Pool.create(1 << 20) as pool:
        store, reader = ValueStore(1, pool), ValueStore(-1, None)
        reader.introduce(1, Pool.attach(pool.fd, pool.nbytes))
        live = [(tensor, store.put(tensor)) for tensor in tensors]
        freed = data.draw(st.sets(st.integers(0, len(live) - 1)))
        for index in freed:
            store.free(live[index][1])
        live = [pair for index, pair in enumerate(live) if index not in freed]
        live += [(tensor, store.put(tensor)) for tensor in tensors]
        for tensor, handle in live:
            found = reader.get(handle)
            assert found.dtype == tensor.dtype
            assert found.shape == tensor.shape
            assert found.stride() == tensor.stride()
            assert torch.equal(found, tensor)
            if tensor.numel():
                assert found.data_ptr() % 64 == tensor.data_ptr() % 64
            del found
        reader.close()


def test_reading_is_without_a_copy_in_both_processes(store, reader):
    handle = store.put(torch.zeros(1000))
    seen, own = reader.get(handle), store.get(handle)
    own += 1
    assert torch.equal(seen, torch.ones(1000))


def test_a_view_with_wide_gaps_is_stored_compactly(store, reader):
    last = torch.arange(4.0 * 1000 * 8).reshape(4, 1000, 8)[:, -1]
    handle = store.put(last)
    assert handle.stored == 32
    assert reader.get(handle).stride() == (8000, 1)
    assert torch.equal(reader.get(handle), last)


def test_channels_last_stays_channels_last(store, reader):
    image = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    found = reader.get(store.put(image))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, image)


def test_gradients_are_noted_but_not_followed(store, reader):
    value = torch.ones(3, requires_grad=True) * 2
    handle = store.put(value)
    assert handle.requires_grad
    assert not reader.get(handle).requires_grad
    assert not store.put(value.detach()).requires_grad


def test_rooms_are_used_again(store):
    first = store.put(torch.zeros(5000))
    used = store.used_bytes
    for _ in range(100):
        store.free(first)
        first = store.put(torch.zeros(5000))
    assert store.used_bytes == used
    store.free(first)
    assert store.used_bytes == 0


def test_trimming_gives_pages_back_and_keeps_values(store, reader, pool):
    kept = store.put(torch.ones(1000))
    big = store.put(torch.ones(4_000_000))
    also = store.put(torch.full((1000,), 2.0))
    store.free(big)
    before = os.fstat(pool.fd).st_blocks
    assert store.trim() > 16_000_000
    assert before - os.fstat(pool.fd).st_blocks > 30_000  # of 512 bytes
    assert torch.equal(reader.get(kept), torch.ones(1000))
    assert torch.equal(reader.get(also), torch.full((1000,), 2.0))
    assert torch.equal(reader.get(store.put(torch.ones(4_000_000))), torch.ones(4_000_000))
    assert reader.trim() == 0


def test_a_full_store_says_how_full_it_is(store):
    store.put(torch.zeros(10_000_000))
    with pytest.raises(TrainError) as caught:
        store.put(torch.zeros(10_000_000))
    assert str(caught.value) == (
        "no room for a value of 40 MB between workers: 40.0 MB of 67.1 MB are in use\n"
        "  fix: use a smaller batch or fewer micro-batches at once"
    )


def test_sparse_values_are_refused(store):
    with pytest.raises(TrainError) as caught:
        store.put(torch.eye(3).to_sparse())
    assert str(caught.value) == (
        "a value between workers must be a dense tensor, found torch.sparse_coo, torch.float32\n"
        "  fix: make it dense before it leaves the layer"
    )


def test_only_the_owner_frees_and_only_once(store, reader):
    handle = store.put(torch.zeros(3))
    with pytest.raises(UsageError, match="a value of worker 3 cannot be freed by -1"):
        reader.free(handle)
    store.free(handle)
    with pytest.raises(UsageError, match="nothing was taken at 0"):
        store.free(handle)


def test_values_of_unknown_owners_cannot_be_read(store, reader):
    handle = store.put(torch.zeros(3))
    reader.forget(3)
    with pytest.raises(UsageError) as caught:
        reader.get(handle)
    assert str(caught.value) == "a value of worker 3 cannot be read; known: none"
    with pytest.raises(UsageError, match="this process only reads values"):
        reader.put(torch.zeros(3))


def test_a_tensor_outlives_the_pool_it_points_into(store, reader):
    found = reader.get(store.put(torch.arange(10)))
    reader.forget(3)
    assert torch.equal(found, torch.arange(10))


def test_nested_values_travel_with_everything_that_is_no_tensor(store, reader):
    value = (torch.ones(2), [3, None, {"mask": torch.zeros(2, dtype=torch.bool)}], "text", 1.5)
    packed = store.pack(value)
    assert packed[1][:2] == [3, None]
    assert packed[2:] == ("text", 1.5)
    found = reader.unpack(packed)
    assert torch.equal(found[0], torch.ones(2))
    assert torch.equal(found[1][2]["mask"], torch.zeros(2, dtype=torch.bool))


def test_named_tuples_stay_what_they_are(store, reader):
    found = reader.unpack(store.pack(torch.max(torch.tensor([[1.0, 5.0]]), dim=1)))
    assert found[0].item() == 5.0
    assert found[1].item() == 1
