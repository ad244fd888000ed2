"""STORE_FORMAT.md against a store that the real program wrote: every dataset is on the page, and all that is on it is in the file."""
import re
import zlib

import h5py
import numpy as np
import pytest
import xarray as xr

import cmsweep_reader
import real_store

PAGE = (real_store.ROOT / "analysis" / "STORE_FORMAT.md").read_text()
RESULT_TABLES = ("experiments", "similarity", "training", "routing")
COMMON = "Columns of every result table"
ABSENT = {"f": np.isnan, "i": lambda v: v == -1}


def section(title):
    return re.split(r"(?m)^## ", PAGE.split(f"\n## {title}\n")[1])[0]


def listed(title):
    """dataset -> (dimensions, type, unit, codes, meaning), in the page's order."""
    found = re.findall(r"(?m)^\| `(\S+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*) \|$", section(title))
    assert found, f"no table under ## {title}"
    return {name: (dimensions.split(", "), kind, unit.strip(), codes.strip(" `"), meaning) for name, dimensions, kind, unit, codes, meaning in found}


def on_page(table):
    return {**(listed(COMMON) if table in RESULT_TABLES else {}), **listed("Name tables" if table == "axes" else f"`/{table}`")}


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def described(dataset):
    """The same, of a dataset in the file."""
    kind = f"text({dataset.dtype.itemsize})" if dataset.dtype.kind == "S" else str(dataset.dtype)
    dimensions = [list(d.values())[0].name.split("/")[-1] for d in dataset.dims]
    return (dimensions, kind, *(text(dataset.attrs.get(a, "")) for a in ("units", "axis_table", "long_name")))


def columns(group):
    """Path below the group -> dataset, without scales."""
    found = {}
    group.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) and not h5py.h5ds.is_scale(item.id) else None)
    return found


@pytest.fixture(scope="module")
def store(real):
    with h5py.File(real) as file:
        yield file


def test_the_page_is_of_the_schema_that_is_written_and_read(store):
    assert PAGE.startswith(f"# The store's format, schema {cmsweep_reader.SCHEMA}\n")
    assert store.attrs["cmsweep_schema"] == cmsweep_reader.SCHEMA and store.attrs["cmsweep_schema"].dtype == np.int64


def test_the_root_holds_what_the_page_lists(store):
    root = section("Root")
    assert set(re.findall(r"\| attribute `(\w+)`", root)) == set(store.attrs)
    assert set(re.findall(r"\| (?:dataset|group) `(\w+)`", root)) | {"axes", "runs", *RESULT_TABLES} == set(store)
    environment = next(line for line in root.splitlines() if "`environment`" in line).split("`environment`")[1]
    assert set(re.findall(r"`(\w+)`", environment)) == set(store["environment"].attrs)
    assert text(store["config"][()]) == real_store.CONFIG


@pytest.mark.parametrize("table", [*RESULT_TABLES, "runs"])
def test_every_column_is_as_the_page_says(store, table):
    assert {name: described(d) for name, d in columns(store[table]).items()} == on_page(table)


def test_every_name_table_is_as_the_page_says(store):
    page = on_page("axes")
    parameter = page.pop("setting/<parameter>")
    of_sweep = columns(store["axes"])
    for name in ("alpha", "span", "learning_rate"):
        assert f"setting/{name}" in of_sweep
    for name, dataset in of_sweep.items():
        own = described(dataset)
        if name not in page:
            page[name] = (*parameter[:4], parameter[4].replace("<parameter>", name.split("/")[1]))
        assert (own[0], re.sub(r"\(\d+\)", "", own[1]), *own[2:]) == page[name], name
    assert set(page) == set(of_sweep)


def test_scales_are_as_the_page_says(store):
    groups = [store[t] for t in (*RESULT_TABLES, "runs")] + list(store["axes"].values())
    for group in groups:
        own = group.name.split("/")[-1] if group.name.startswith("/axes") else "row"
        for name, dataset in group.items():
            if h5py.h5ds.is_scale(dataset.id):
                assert dataset.shape == ((len(dataset),) if name == own else (len(dataset), 1)), dataset.name
                assert dataset[:].ravel().tolist() == list(range(len(dataset)))


def test_nothing_is_chunked_compressed_or_of_variable_length(store):
    for name, dataset in columns(store).items():
        assert dataset.chunks is None and dataset.compression is None and dataset.dtype.kind in "Sfiu", name
        assert dataset.dtype.byteorder in "=<|", name


def check_word(group, row, first, columns):
    """A magic number and the CRC-32 of `first` as it is and of every value of `columns` that is there, with its place."""
    data = b"".join(bytes(group[name][row].tobytes()) if group[name].dtype.kind != "S" else group[name][row].ljust(group[name].dtype.itemsize, b"\0")
                    for name in first)
    for name in columns:
        values = np.asarray(group[name][row])
        data += name.encode()
        for place in np.argwhere(~ABSENT[values.dtype.kind](values)) if values.ndim else [()] * (not ABSENT[values.dtype.kind](values)):
            data += np.array(place[::-1], "<u4").tobytes() + values[tuple(place)].tobytes()
    return 0x434D5357 << 32 | zlib.crc32(data)


@pytest.mark.parametrize("table", RESULT_TABLES)
def test_the_checksums_are_computed_as_the_page_says(store, table):
    group = store[table]
    names = list(listed(f"`/{table}`"))
    if table == "experiments":
        results = names[names.index("loss"):]
    else:
        results = [n for n in names if described(group[n])[0] != ["row"]]
    labels = [name for name in names if name not in results]
    for row in range(len(group["row"])):
        assert group["commit"][row] == check_word(group, row, ["id", "status"], results), f"{table}, row {row}"
        assert group["label_check"][row] == check_word(group, row, ["id", "in_plan"], labels), f"{table}, row {row}"
        assert group["note_check"][row] == check_word(group, row, ["message", "attempt"], ["rank", "seconds", "retryable"]), f"{table}, row {row}"


def test_the_pages_python_runs(real):
    (code,) = re.findall(r"(?s)```python\n(.*?)```", PAGE)
    names = {"store": real}
    exec(code, names)
    frame, data = names["frame"], names["data"]
    assert len(names["done"]) == len(cmsweep_reader.experiments(real)) == len(frame)
    assert set(frame["method"]) == {"base", "specialist", "average", "interpolate_features", "route", "ensemble_probabilities"}
    assert data["block_loss"].dims == ("row", "loss_block") and data["degree"].attrs["units"] == "step"
    data.close()


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # xarray, of the NaN times of free slots
@pytest.mark.parametrize("table", [*RESULT_TABLES, "runs"])
def test_xarray_opens_every_group(real, table):
    with xr.open_dataset(real, group=table, engine="h5netcdf") as data:
        assert set(data.data_vars) == set(on_page(table))
        for name, variable in data.data_vars.items():
            assert list(variable.dims) == on_page(table)[name][0], name


def test_the_kinds_of_comparison_follow_from_the_labels(real):
    counts = {kind: int((cmsweep_reader.comparisons(real)["against"] == kind).sum()) for kind in cmsweep_reader.AGAINST}
    # 2 metrics; 2 seeds; pair: 3 degrees; base: 2 models x 2 degrees; self: 2 models x 3 pairs of degrees; seeds: 2 models x 2 degrees, once
    assert counts == {"pair": 12, "base": 16, "self": 24, "seeds": 8}


def test_the_program_finds_the_store_sound(real):
    assert "sound" in real_store.run("verify", real)
