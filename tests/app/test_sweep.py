"""A whole sweep: every row is done, the numbers hang together, and neither ranks nor reruns change a bit."""
import h5py
import numpy as np
import pytest

import program
import world as worlds

RANKS = [1, 2, 3, 5]


def wide_grid(world) -> dict:
    """Two and three members, all layers, every family, similarity before and after merging."""
    config = world.sweep("wide")
    config["corpus"] = world.corpora("code", "math", "prose", "record")
    config["specialist"].append({"name": "prose", "corpus": "prose"})
    config["grid"].update(pairs=[["code", "math"], ["code", "math", "prose"]], layers=["all", "each"], host="math")
    config["grid"]["method"] = [{"name": "average"}, {"name": "interpolate_features"},
                                {"name": "route", "span": [1, 2], "steps": 4, "batch": 4}, {"name": "ensemble_probabilities"}]
    config["similarity"].update(metrics=["cka_linear", "cka_debiased"], against=["pair", "base", "self", "seeds"], after_merge=True)
    return config


@pytest.fixture(scope="session")
def wide(world):
    """The wide grid's store by number of ranks; 0 is without mpirun."""
    config = wide_grid(world)
    stores = {}
    for ranks in [0, *RANKS]:
        file = worlds.write(config, world.root / f"wide-{ranks}")
        program.run_well(file, ranks=ranks)
        stores[ranks] = worlds.store_of(file, config)
    return stores


@pytest.fixture(scope="session")
def rows(wide):
    """Experiments by name: a list of dicts."""
    data = program.columns(wide[0], "experiments")
    names = {axis: program.names_of(wide[0], axis) for axis in ("pair", "method", "layer", "model")}
    return [{**{name: values[row] for name, values in data.items()}, **{axis: names[axis][data[axis][row]] for axis in ("pair", "method", "layer")},
             "members": [names["model"][code] for code in data["model"][row] if code >= 0],
             "degrees": [degree for degree in data["degree"][row] if degree >= 0]} for row in range(len(data["id"]))]


def select(rows, **labels):
    return [row for row in rows if all(row[name] == value for name, value in labels.items())]


def test_every_row_is_done(wide):
    program.assert_all_done(wide[0])


def test_the_grid_is_complete(rows):
    degrees, seeds, layers, spans = 3, 2, 3, 2  # layers: all, 0, 1
    for pair in ("code+math", "code+math+prose"):
        assert len(select(rows, pair=pair, method="average")) == degrees * seeds * layers
        assert len(select(rows, pair=pair, method="interpolate_features")) == degrees * seeds * layers
        assert len(select(rows, pair=pair, method="route")) == degrees * seeds * layers * spans
        assert len(select(rows, pair=pair, method="ensemble_probabilities")) == degrees * seeds
        assert {row["layer"] for row in select(rows, pair=pair, method="ensemble_probabilities")} == {"none"}
    for member in ("code", "math", "prose"):  # once, though the first two are in both pairs
        assert len(select(rows, pair=member, method="specialist")) == degrees * seeds
    assert len(select(rows, method="base")) == seeds


def test_losses_are_better_than_guessing_and_differ(rows):
    losses = np.array([row["loss"] for row in rows])
    assert np.all(np.isfinite(losses)) and np.all(losses < np.log(256)), "every model has seen text"
    assert len(np.unique(losses)) > 50
    for row in rows:
        blocks = row["block_loss"][np.isfinite(row["block_loss"])]
        assert len(blocks) == 24, "as many windows as asked for"
        assert np.isclose(blocks.mean(), row["loss"], rtol=1e-6)
        assert row["tokens"] == 24 * 32


def test_at_degree_zero_everything_is_the_base(rows):
    base = select(rows, method="base")[0]["loss"]
    for row in rows:
        if set(row["degrees"]) != {0}:
            continue
        if row["method"] in ("base", "specialist", "average"):
            assert row["loss"] == base, row["method"]
        elif row["method"] == "ensemble_probabilities" or (row["method"] == "interpolate_features"):
            assert np.isclose(row["loss"], base, rtol=1e-5), row["method"]


def test_fine_tuning_moved_the_specialists(rows, wide):
    base = select(rows, method="base")[0]["loss"]
    by_degree = {row["degrees"][0]: row["loss"] for row in select(rows, method="specialist", pair="math", seed=0)}
    assert len({base, by_degree[10], by_degree[20]}) == 3
    training = program.columns(wide[0], "training")
    assert training["loss"].shape == (3 * 2, 20)
    assert np.all(np.isfinite(training["loss"])) and len(np.unique(training["loss"][:, 0])) == 6, "each has batches of its own"


def test_seeds_differ_only_where_randomness_is_drawn(rows):
    assert len({row["loss"] for row in select(rows, method="base")}) == 1
    first, second = (select(rows, method="specialist", pair="code", seed=seed, degrees=[20])[0] for seed in (0, 1))
    assert first["loss"] != second["loss"] and first["id"] != second["id"]
    ids = {row["id"] for row in select(rows, method="average", pair="code+math", layer="all", degrees=[0, 0])}
    assert len(ids) == 1, "no randomness: one computation fills every seed's row"


def test_similarity_after_merging_is_kept_where_there_is_one_stream(rows):
    for row in rows:
        own = row["similarity_member"][:len(row["members"])]
        if row["method"] in ("average", "interpolate_features", "route"):
            assert np.all(np.isfinite(own)) and np.all(np.isfinite(row["similarity_base"]))
            assert np.all(own <= 1 + 1e-9)
        else:
            assert np.all(np.isnan(own)) and np.all(np.isnan(row["similarity_base"]))
        assert np.all(np.isnan(row["similarity_member"][len(row["members"]):])), "padding"


def test_similarities_cover_what_was_asked_for(wide):
    data = program.columns(wide[0], "similarity")
    metrics = program.names_of(wide[0], "metric")
    assert sorted(metrics) == ["cka_debiased", "cka_linear"]
    models = program.names_of(wide[0], "model")
    kinds = {(models[a], models[b]) for a, b in zip(data["model_a"], data["model_b"])}
    assert {("code", "math"), ("code", "prose"), ("math", "prose"), ("code", "base"), ("code", "code")} <= kinds
    assert np.all(np.isfinite(data["value"])) and np.all(np.abs(data["value"]) <= 1 + 1e-9)
    same = (data["model_a"] == data["model_b"]) & (data["degree_a"] == data["degree_b"]) & (data["seed"] == data["seed_b"])
    assert not same.any(), "nothing is compared with itself"


def test_routing_weights_are_shares(wide):
    weights = program.columns(wide[0], "routing")["weight"]
    present = np.isfinite(weights).any(axis=2)
    assert present.any()
    assert np.allclose(np.nansum(weights, axis=2)[present], 1, atol=1e-6)


@pytest.mark.parametrize("ranks", RANKS)
def test_ranks_do_not_change_a_bit(wide, ranks):
    program.assert_same_results(wide[0], wide[ranks])


def test_the_work_is_shared(wide):
    """With four workers more than one has computed something; rank 0 only dispatches."""
    used = set(program.columns(wide[5], "experiments")["rank"])
    assert len(used) > 1 and 0 not in used


def test_a_rerun_finds_everything_done_and_leaves_the_store_as_it_is(wide, world):
    before = program.digest(wide[3])
    for ranks in (0, 3):
        result = program.run_well(world.root / "wide-3" / "sweep.toml", ranks=ranks)
        assert "everything is done" in result.err
    assert program.digest(wide[3]) == before


def test_a_merge_starts_before_the_trajectories_end(world):
    config = world.sweep("early")
    config["finetune"].update(steps=800, batch=16)
    config["sweep"]["seeds"] = [0]
    config["grid"].update(degrees=[5, 800])
    config["run"]["commit_seconds"] = 0.05
    file = worlds.write(config, world.root / "early")
    store = worlds.store_of(file, config)
    process = program.start(file, ranks=4)
    seen = False
    try:
        while process.poll() is None and not seen:
            try:
                with h5py.File(store, "r") as data:
                    methods = [name.decode() for name in data["axes/method/name"][:]]
                    rows = data["experiments"]
                    merged = (rows["method"][:] == methods.index("average")) & (rows["degree"][:, 0] == 5) & (rows["status"][:] == program.DONE)
                    seen = bool(merged.any() and np.all(data["training/status"][:] == 0))
            except OSError:
                pass
    finally:
        result = program.finish(process)
    assert result.code == 0, str(result)
    assert seen, "a merge at degree 5 was never stored while both trajectories were still under way"
    losses = program.columns(store, "training")["loss"]
    assert np.all(losses[:, -100:].mean(axis=1) < losses[:, :100].mean(axis=1) - 0.1), "training learns"


def test_the_host_supplies_what_lies_outside_the_layer(world):
    losses, ids = {}, {}
    for host in ("first", "base", "prose"):
        config = world.sweep("host")
        config["corpus"] = world.corpora("code", "math", "prose", "record")
        config["specialist"].append({"name": "prose", "corpus": "prose"})
        config["sweep"]["seeds"] = [0]
        config["grid"].update(degrees=[20], layers=["all", 0], host=host, method=[{"name": "average"}])
        file = worlds.write(config, world.root / f"host-{host}")
        program.run_well(file)
        store = worlds.store_of(file, config)
        program.assert_all_done(store)
        data = program.columns(store, "experiments")
        layers, average = program.names_of(store, "layer"), program.names_of(store, "method").index("average")
        for row in np.flatnonzero(data["method"] == average):
            losses[host, layers[data["layer"][row]]] = data["loss"][row]
            ids[host, layers[data["layer"][row]]] = data["id"][row]
    assert losses["first", "all"] == losses["base", "all"] == losses["prose", "all"], "the whole model needs no host"
    assert ids["first", "all"] == ids["base", "all"]
    assert len({losses[host, "0"] for host in ("first", "base", "prose")}) == 3
    assert len({ids[host, "0"] for host in ("first", "base", "prose")}) == 3
