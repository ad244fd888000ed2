#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>

#include <fcntl.h>
#include <unistd.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/fault_point.hpp"
#include "cmsweep/store/store.hpp"
#include "commit.hpp"
#include "journal.hpp"
#include "layout.hpp"
#include "lock.hpp"
#include "probe.hpp"

// Making a store fit a plan: create, leave, or copy and rename. STORE.md "Life of a store" 2 and 3.
namespace cmsweep {
namespace {

constexpr std::size_t kNoRow = std::numeric_limits<std::size_t>::max();

/// Codes of the plan's axes in the united axes.
using Translation = std::map<std::string, std::vector<std::int64_t>>;

/// Old names keep their codes, new ones follow.
Axes unite_axes(const Axes& old, const Axes& plan, Translation& codes) {
    Axes united = old;
    for (const auto& [axis, names] : plan.names) {
        auto& known = united.names[axis];
        std::map<std::string, std::int64_t> places;
        for (std::size_t i = 0; i < known.size(); ++i) places.emplace(known[i], static_cast<std::int64_t>(i));
        for (const auto& name : names) {
            const auto [place, added] = places.emplace(name, static_cast<std::int64_t>(known.size()));
            if (added) known.push_back(name);
            codes[axis].push_back(place->second);
        }
    }
    for (const auto& [axis, members] : plan.members) {
        auto& known = united.members[axis];
        known.resize(united.names[axis].size());
        for (std::size_t i = 0; i < members.size(); ++i) known[static_cast<std::size_t>(codes[axis].at(i))] = members[i];
    }
    const auto settings = united.names.count("setting") > 0 ? united.names.at("setting").size() : 0;
    united.setting_method.resize(settings, -1);
    united.setting_parameters.resize(settings);
    for (const auto& [parameter, values] : plan.setting_numbers) united.setting_numbers[parameter];
    for (auto& [parameter, values] : united.setting_numbers) {
        values.resize(settings, std::numeric_limits<double>::quiet_NaN());
    }
    const auto& places = codes["setting"];
    for (std::size_t i = 0; i < places.size(); ++i) {
        const auto place = static_cast<std::size_t>(places[i]);
        if (i < plan.setting_method.size()) {
            const auto method = plan.setting_method[i];
            const auto& methods = codes["method"];
            const bool coded = method >= 0 && static_cast<std::size_t>(method) < methods.size();
            united.setting_method[place] = coded ? methods[static_cast<std::size_t>(method)] : method;
        }
        if (i < plan.setting_parameters.size()) united.setting_parameters[place] = plan.setting_parameters[i];
        for (const auto& [parameter, values] : plan.setting_numbers) {
            if (i < values.size()) united.setting_numbers[parameter][place] = values[i];
        }
    }
    return united;
}

std::vector<std::int64_t> extents_in(const TableSpec& spec, const Column& column) {
    std::vector<std::int64_t> extents;
    for (const auto& dimension : column.dimensions) extents.push_back(spec.dimensions.at(dimension));
    return extents;
}

/// Copies a row of `from` extents into the corner of a row of `to` extents, none of them smaller.
void copy_row(std::span<const std::byte> source, const std::vector<std::int64_t>& from, std::span<std::byte> target,
              const std::vector<std::int64_t>& to, std::size_t size) {
    const auto count = source.size() / size;
    for (std::size_t i = 0; i < count; ++i) {
        std::size_t rest = i, place = 0, stride = 1;
        for (std::size_t d = from.size(); d-- > 0;) {
            place += rest % static_cast<std::size_t>(from[d]) * stride;
            rest /= static_cast<std::size_t>(from[d]);
            stride *= static_cast<std::size_t>(to[d]);
        }
        std::memcpy(target.data() + place * size, source.data() + i * size, size);
    }
}

std::vector<Id> read_ids(const StoredTable& table) {
    std::vector<Id> ids;
    for (const auto& text : decode_texts(*table.spec().find("id"), table.read("id"))) {
        try {
            ids.push_back(Id::parse(text));
        } catch (const InputError&) {
            ids.emplace_back();  // damaged: belongs to no result
        }
    }
    return ids;
}

/// Everything that decides how one table of the new file is filled.
struct TableFit {
    TableSpec spec;
    const TableRows* plan = nullptr;
    std::shared_ptr<StoredTable> old;
    std::vector<Id> ids;
    std::vector<std::size_t> sources;  ///< row of `old` whose result each new row takes, or kNoRow
    std::size_t planned = 0;           ///< rows before this are the plan's
    Translation codes;

    std::vector<std::byte> content(const Column& column) const {
        if (column.name == "id") {
            std::vector<std::string> texts;
            for (const auto& id : ids) texts.push_back(id.hex());
            return encode_texts(column, texts);
        }
        if (column.name == "in_plan") {
            std::vector<double> flags(ids.size(), 0.0);
            std::fill_n(flags.begin(), planned, 1.0);
            return encode_numbers(column, flags);
        }
        if (column.name == "label_check") return label_checks();
        const auto extents = extents_in(spec, column);
        const auto size = value_size(column);
        const auto row_size = static_cast<std::size_t>(spec.elements(column)) * size;
        std::vector<std::byte> bytes;
        const auto fill = fill_value(column);
        bytes.reserve(ids.size() * row_size);
        while (bytes.size() < ids.size() * row_size) bytes.insert(bytes.end(), fill.begin(), fill.end());
        const auto target = [&](std::size_t row) { return std::span(bytes).subspan(row * row_size, row_size); };

        const bool label = column.role == Column::Role::label;
        if (label && plan != nullptr) copy_labels(column, extents, target);
        const bool copies = std::any_of(sources.begin() + static_cast<std::ptrdiff_t>(label ? planned : 0), sources.end(),
                                        [](std::size_t source) { return source != kNoRow; });
        if (copies) {
            const auto stored = old->read(column.name);
            const auto old_extents = extents_in(old->spec(), column);
            const auto old_size = old->row_size(old->column(column.name));
            for (std::size_t r = label ? planned : 0; r < ids.size(); ++r) {
                if (sources[r] == kNoRow) continue;
                copy_row(std::span(stored).subspan(sources[r] * old_size, old_size), old_extents, target(r), extents, size);
            }
        }
        return bytes;
    }

    /// Id and labels of every row, as one text each.
    std::vector<std::string> identities() const {
        std::vector<std::string> texts;
        for (const auto& id : ids) texts.push_back(id.hex());
        for (const auto& column : spec.columns) {
            if (column.role != Column::Role::label) continue;
            const auto bytes = content(column);
            const auto size = bytes.size() / std::max<std::size_t>(1, ids.size());
            for (std::size_t r = 0; r < ids.size(); ++r) texts[r].append(reinterpret_cast<const char*>(bytes.data()) + r * size, size);
        }
        return texts;
    }

    /// Of the rows after the plan's, keeps those that are no planned row: results may share an id under several labels.
    void drop_planned_again() {
        const auto texts = identities();
        std::set<std::string> known(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(planned));
        std::size_t kept = planned;
        for (std::size_t r = planned; r < ids.size(); ++r) {
            if (!known.insert(texts[r]).second) continue;
            ids[kept] = ids[r];
            sources[kept++] = sources[r];
        }
        ids.resize(kept);
        sources.resize(kept);
    }

private:
    std::vector<std::byte> label_checks() const {
        std::vector<std::vector<std::byte>> columns(spec.columns.size());
        std::vector<std::size_t> row_sizes(spec.columns.size());
        for (std::size_t c = 0; c < spec.columns.size(); ++c) {
            const auto& column = spec.columns[c];
            if (column.role != Column::Role::label && column.name != "id" && column.name != "in_plan") continue;
            columns[c] = content(column);
            row_sizes[c] = static_cast<std::size_t>(spec.elements(column)) * value_size(column);
        }
        std::vector<std::byte> bytes(ids.size() * sizeof(std::uint64_t));
        for (std::size_t r = 0; r < ids.size(); ++r) {
            const auto word = label_word(spec, [&](std::size_t c) { return std::span<const std::byte>(columns[c]).subspan(r * row_sizes[c], row_sizes[c]); });
            std::memcpy(bytes.data() + r * sizeof word, &word, sizeof word);
        }
        return bytes;
    }

    void copy_labels(const Column& column, const std::vector<std::int64_t>& extents,
                     const std::function<std::span<std::byte>(std::size_t)>& target) const {
        if (plan->rows() == 0) return;  // such a table has no label columns in the plan; stored rows keep theirs
        const auto elements = static_cast<std::size_t>(plan->spec.elements(column));
        const auto found = plan->labels.find(column.name);
        if (found == plan->labels.end() || found->second.size() != plan->rows() * elements) {
            throw std::invalid_argument("plan, table " + spec.name + ": label " + column.name + " must have " +
                                        std::to_string(plan->rows() * elements) + " values");
        }
        auto numbers = found->second;
        const auto translation = codes.find(column.axis);
        if (!column.axis.empty() && translation != codes.end()) {
            for (auto& number : numbers) {
                if (!(number >= 0)) continue;  // padding
                number = static_cast<double>(translation->second.at(static_cast<std::size_t>(number)));
            }
        }
        const auto encoded = encode_numbers(column, numbers);
        const auto size = value_size(column);
        const auto from = extents_in(plan->spec, column);
        for (std::size_t r = 0; r < plan->rows(); ++r) {
            copy_row(std::span(encoded).subspan(r * elements * size, elements * size), from, target(r), extents, size);
        }
    }
};

std::shared_ptr<TableFit> fit_table(const std::string& name, const Plan& plan, std::shared_ptr<StoredTable> old,
                                    const Translation& codes, std::vector<std::string>& warnings) {
    auto fit = std::make_shared<TableFit>();
    fit->codes = codes;
    for (const auto& table : plan.tables) {
        if (table.spec.name == name) fit->plan = &table;
    }
    if (fit->plan == nullptr && old == nullptr) return nullptr;
    if (fit->plan != nullptr) {
        fit->spec = fit->plan->spec;
        fit->ids = fit->plan->ids;
    }
    fit->planned = fit->ids.size();
    fit->sources.assign(fit->planned, kNoRow);
    if (old != nullptr) {
        const auto states = commit_states(*old);
        const auto old_ids = read_ids(*old);
        std::map<Id, std::size_t> stored;
        std::size_t broken = 0;
        for (std::size_t r = 0; r < old->rows(); ++r) {
            if (states[r] == CommitState::valid) stored.emplace(old_ids[r], r);
            if (states[r] == CommitState::broken) ++broken;
        }
        if (broken > 0) {
            warnings.push_back("table " + name + ": " + std::to_string(broken) +
                               " committed rows have wrong checksums; they are not kept and will be computed again");
        }
        const auto labels = sound_labels(*old);
        std::size_t nameless = 0;
        const std::set<Id> planned(fit->ids.begin(), fit->ids.end());
        for (std::size_t r = 0; r < fit->planned; ++r) {
            const auto found = stored.find(fit->ids[r]);
            if (found != stored.end()) fit->sources[r] = found->second;
        }
        for (std::size_t r = 0; r < old->rows(); ++r) {
            if (states[r] != CommitState::valid) continue;
            if (!labels[r]) {  // its own are wrong; the plan knows them for a planned one
                if (planned.count(old_ids[r]) == 0) ++nameless;
                continue;
            }
            fit->ids.push_back(old_ids[r]);
            fit->sources.push_back(r);
        }
        if (nameless > 0) {
            warnings.push_back("table " + name + ": " + std::to_string(nameless) +
                               " rows outside this plan have labels with wrong checksums, so that nothing tells what they are; they are not kept");
        }
        const bool copies = std::any_of(fit->sources.begin(), fit->sources.end(), [](auto s) { return s != kNoRow; });
        if (fit->plan == nullptr) fit->spec = old->spec();
        if (copies) {
            for (auto& [dimension, size] : fit->spec.dimensions) size = std::max(size, old->spec().dimensions.at(dimension));
        }
        fit->old = std::move(old);
        if (fit->ids.size() > fit->planned) fit->drop_planned_again();
    }
    return fit;
}

/// Runs that are recorded, and free slots after them.
TableImage fit_runs(const std::shared_ptr<StoredTable>& old) {
    TableImage image{runs_table(), kRunSlots, "row", {}};
    if (old == nullptr) return image;
    std::vector<std::size_t> used;
    const auto started = decode_numbers(*old->spec().find("started"), old->read("started"));
    for (std::size_t r = 0; r < started.size(); ++r) {
        if (!std::isnan(started[r])) used.push_back(r);
    }
    const auto rows = image.rows = (used.size() / kRunSlots + 1) * kRunSlots;
    image.content = [old, used, rows](const Column& column) {
        const auto stored = old->read(column.name);
        const auto fill = fill_value(column);
        const auto size = fill.size();
        std::vector<std::byte> bytes;
        for (const auto r : used) bytes.insert(bytes.end(), stored.begin() + static_cast<std::ptrdiff_t>(r * size),
                                               stored.begin() + static_cast<std::ptrdiff_t>((r + 1) * size));
        while (bytes.size() < rows * size) bytes.insert(bytes.end(), fill.begin(), fill.end());
        return bytes;
    };
    return image;
}

struct Descriptor {
    explicit Descriptor(const std::filesystem::path& path) : number(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
        if (number < 0) throw StorageError(path.string() + ": cannot be opened: " + std::strerror(errno));
    }
    ~Descriptor() { ::close(number); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int number;
};

/// Commits what has a row here; what has none stays in `entries`. Records that are stored already, bit for bit, are skipped:
/// the run was killed between its commit and the end of its journal. Returns the number of results.
std::size_t replay(const std::filesystem::path& path, std::vector<JournalEntry>& entries, std::vector<std::string>& warnings) {
    auto file = open_store(path, true);
    const Descriptor descriptor(path);
    auto tables = open_tables(file.get());
    std::vector<std::vector<PendingRow>> pending(tables.size());
    std::vector<JournalEntry> unplaced;
    std::size_t results = 0;
    for (std::size_t t = 0; t < tables.size(); ++t) {
        auto& table = tables[t];
        const auto name = table.spec().name;
        const auto states = commit_states(table);
        std::multimap<Id, std::size_t> rows;
        const auto ids = read_ids(table);
        for (std::size_t r = 0; r < ids.size(); ++r) rows.emplace(ids[r], r);
        // The last record of an id wins, but a failure never replaces a result.
        std::map<Id, const JournalEntry*> latest;
        for (const auto& entry : entries) {
            if (entry.record.table != name) continue;
            try {
                check_record(table.spec(), entry.record);
            } catch (const std::invalid_argument& error) {
                warnings.push_back(std::string("journal: ") + error.what() + "; dropped");
                continue;
            }
            if (rows.count(entry.record.id) == 0) {
                unplaced.push_back(entry);
                continue;
            }
            auto& known = latest[entry.record.id];
            const bool worse = known != nullptr && known->record.status == RowStatus::done && entry.record.status != RowStatus::done;
            if (!worse) known = &entry;
        }
        const auto status = decode_numbers(*table.spec().find("status"), table.read("status"));
        for (const auto& [id, entry] : latest) {
            bool counted = false;
            for (auto [row, end] = rows.equal_range(id); row != end; ++row) {
                const PendingRow candidate{row->second, &entry->record, entry->rank};
                if (states[row->second] == CommitState::valid) {
                    const bool done = static_cast<RowStatus>(status[row->second]) == RowStatus::done;
                    if (done && entry->record.status != RowStatus::done) continue;
                    if (already_holds(table, candidate, descriptor.number, path)) continue;
                }
                pending[t].push_back(candidate);
                counted = true;
            }
            if (counted) ++results;
        }
    }
    auto peers = serial_peers(file.get(), descriptor.number, path);
    commit_rows(tables, std::move(pending), descriptor.number, path, peers);
    fault_point("replay.committed");
    for (const auto& entry : entries) {
        const bool known = std::any_of(tables.begin(), tables.end(),
                                       [&](const auto& table) { return table.spec().name == entry.record.table; });
        if (!known) unplaced.push_back(entry);
    }
    for (auto& table : tables) table.close();
    file.close();
    entries = std::move(unplaced);
    return results;
}

/// A row that is marked as committed with a wrong checksum becomes pending; a run that never ended was killed.
void mend(const std::filesystem::path& path, std::vector<std::string>& warnings) {
    auto file = open_store(path, true);
    const Descriptor descriptor(path);
    auto tables = open_tables(file.get());
    auto runs = StoredTable(file.get(), "runs");
    std::vector<ColumnWrite> writes;
    for (const auto& table : tables) {
        ColumnWrite clear{&table, table.column("commit"), {}, {}};
        const auto states = commit_states(table);
        for (std::size_t r = 0; r < states.size(); ++r) {
            if (states[r] == CommitState::broken) clear.rows.push_back(r);
        }
        if (clear.rows.empty()) continue;
        warnings.push_back(path.string() + ": table " + table.spec().name + ": " + std::to_string(clear.rows.size()) +
                           " committed rows have wrong checksums; they will be computed again");
        clear.bytes.resize(clear.rows.size() * sizeof(std::uint64_t));
        writes.push_back(std::move(clear));
    }
    const auto& outcome = *runs.spec().find("outcome");
    const auto outcomes = decode_texts(outcome, runs.read("outcome"));
    ColumnWrite killed{&runs, runs.column("outcome"), {}, {}};
    for (std::size_t r = 0; r < outcomes.size(); ++r) {
        if (outcomes[r] != kRunning) continue;
        killed.rows.push_back(r);
        const std::string text = "killed";
        const auto bytes = encode_texts(outcome, std::span(&text, 1));
        killed.bytes.insert(killed.bytes.end(), bytes.begin(), bytes.end());
    }
    if (!killed.rows.empty()) writes.push_back(std::move(killed));
    if (!writes.empty()) {
        auto peers = serial_peers(file.get(), descriptor.number, path);
        write_checked(writes, descriptor.number, path, peers);
    }
    for (auto& table : tables) table.close();
    runs.close();
    file.close();
}

/// The same plan, every table as large as the plan's, and a free slot for this run.
bool fits(hid_t file, const StoreHeader& header, const Plan& plan) {
    if (header.plan_digest != plan.digest) return false;
    for (const auto& table : plan.tables) {
        if (!has_link(file, table.spec.name)) return false;
        const StoredTable stored(file, table.spec.name);
        if (stored.spec().columns != table.spec.columns || stored.rows() < table.rows()) return false;
        // Not implied by the digest where the file is damaged: a row without its id would stay pending for ever.
        const auto ids = read_ids(stored);
        if (!std::equal(table.ids.begin(), table.ids.end(), ids.begin())) return false;
        const auto labels = sound_labels(stored);
        if (std::count(labels.begin(), labels.end(), false) > 0) return false;
        for (const auto& [dimension, size] : table.spec.dimensions) {
            const auto found = stored.spec().dimensions.find(dimension);
            if (found == stored.spec().dimensions.end() || found->second < size) return false;
        }
    }
    const StoredTable runs(file, "runs");
    const auto started = decode_numbers(*runs.spec().find("started"), runs.read("started"));
    return std::any_of(started.begin(), started.end(), [](double time) { return std::isnan(time); });
}

void sync_folder(const std::filesystem::path& folder) {
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    ::fsync(descriptor);  // not every file system can; the rename itself is done
    ::close(descriptor);
}

void rewrite(const std::filesystem::path& path, const Plan& plan, const StoreIdentity& identity, bool exists,
             std::vector<std::string>& warnings) {
    StoreImage image{identity, plan.digest, utc_now(), {}};
    Axes axes;
    Translation codes;
    Hdf5Handle old;
    std::shared_ptr<StoredTable> runs;
    if (exists) {
        old = open_store(path, false);
        image.created = read_header(old.get(), path).created;
        axes = read_axes(old.get());
        runs = std::make_shared<StoredTable>(old.get(), "runs");
    }
    axes = unite_axes(axes, plan.axes, codes);
    for (const auto& name : result_table_names()) {
        std::shared_ptr<StoredTable> stored;
        if (exists && has_link(old.get(), name)) stored = std::make_shared<StoredTable>(old.get(), name);
        const auto fit = fit_table(name, plan, std::move(stored), codes, warnings);
        if (fit == nullptr) continue;
        image.tables.push_back({fit->spec, fit->ids.size(), "row", [fit](const Column& c) { return fit->content(c); }});
    }
    for (auto& table : axis_tables(axes)) image.tables.push_back(std::move(table));
    image.tables.push_back(fit_runs(runs));

    const std::filesystem::path fresh = path.string() + ".new";
    write_store_file(fresh, image);
    fault_point("fit.written");
    if (::rename(fresh.c_str(), path.c_str()) != 0) {
        throw StorageError(fresh.string() + ": cannot be renamed to " + path.string() + ": " + std::strerror(errno));
    }
    fault_point("fit.renamed");
    sync_folder(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."));
}

}  // namespace

PreparedStore prepare_store(const std::filesystem::path& path, const std::filesystem::path& side_folder, const Plan& plan,
                            const StoreIdentity& identity) {
    PreparedStore prepared;
    const bool exists = std::filesystem::exists(path);
    std::unique_ptr<LockFile> sharing;
    if (exists) {
        probe_store(path);
        auto file = open_store(path, false);
        const auto header = read_header(file.get(), path);
        if (header.name != identity.name) {
            throw InputError(path.string() + ": the store of sweep \"" + header.name + "\", not of \"" + identity.name +
                             "\"; change [sweep] name back, or choose another [sweep] output");
        }
        try {
            open_tables(file.get());
            StoredTable(file.get(), "runs");
            read_axes(file.get());
        } catch (const StorageError& error) {
            throw InputError(path.string() + ": damaged or of another make: " + error.what() + "; move it away to start anew");
        }
        file.close();
    }
    check_writable(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."));
    if (exists) {
        sharing = std::make_unique<LockFile>(path, false);
        if (sharing->share() == LockFile::Result::held) {
            throw InputError(path.string() + ": another program has it open for writing; close it there");
        }
    }

    auto journals = read_journals(side_folder / "journal");
    prepared.warnings = std::move(journals.warnings);
    prepared.created = !exists;
    bool fitting = false;
    if (exists) {
        if (!journals.entries.empty()) prepared.recovered += replay(path, journals.entries, prepared.warnings);
        mend(path, prepared.warnings);
        auto file = open_store(path, false);
        fitting = fits(file.get(), read_header(file.get(), path), plan);
    }
    if (!fitting) {
        rewrite(path, plan, identity, exists, prepared.warnings);
        prepared.rewritten = exists;
    }
    // Results for rows that the old file did not have (or that outlived a deleted store) may have one now.
    if (!journals.entries.empty() && !fitting) {
        prepared.recovered += replay(path, journals.entries, prepared.warnings);
    }
    if (!journals.entries.empty()) {
        prepared.warnings.push_back(std::to_string(journals.entries.size()) + " journaled results belong to no row of this plan; dropped");
    }
    for (const auto& file : journals.files) {
        std::error_code ignored;
        std::filesystem::remove(file, ignored);
    }
    return prepared;
}

StoredState read_stored_state(const std::filesystem::path& path, const std::filesystem::path& side_folder) {
    StoredState state;
    const auto journaled = read_journals(side_folder / "journal").entries;
    std::vector<const JournalEntry*> uncommitted;
    for (const auto& entry : journaled) uncommitted.push_back(&entry);
    if (std::filesystem::exists(path)) {
        probe_store(path);
        const auto file = open_store(path, false);
        const Descriptor descriptor(path);
        const auto header = read_header(file.get(), path);
        state.plan_digest = header.plan_digest;
        state.name = header.name;
        try {
            for (const auto& table : open_tables(file.get())) {
                const auto states = commit_states(table);
                const auto ids = read_ids(table);
                const auto column = [&](const char* name) { return decode_numbers(*table.spec().find(name), table.read(name)); };
                const auto status = column("status"), retryable = column("retryable"), attempt = column("attempt");
                std::map<Id, std::size_t> rows;
                for (std::size_t r = 0; r < table.rows(); ++r) {
                    if (states[r] != CommitState::valid) continue;
                    state.results.insert_or_assign(ResultKey{table.spec().name, ids[r]},
                                                   StoredState::Entry{static_cast<RowStatus>(status[r]), retryable[r] == 1,
                                                                      static_cast<int>(attempt[r])});
                    rows.emplace(ids[r], r);
                }
                // Records that a commit has just written, or that a killed run did not come to forget, would count twice.
                std::erase_if(uncommitted, [&](const JournalEntry* entry) {
                    const auto row = entry->record.table == table.spec().name ? rows.find(entry->record.id) : rows.end();
                    if (row == rows.end()) return false;
                    try {
                        check_record(table.spec(), entry->record);
                    } catch (const std::invalid_argument&) {
                        return false;
                    }
                    return already_holds(table, {row->second, &entry->record, entry->rank}, descriptor.number, path);
                });
            }
        } catch (const StorageError& error) {
            throw InputError(path.string() + ": damaged or of another make: " + error.what());
        }
    }
    for (const auto* entry : uncommitted) {
        auto& known = state.results[ResultKey{entry->record.table, entry->record.id}];
        if (known.status == RowStatus::done && entry->record.status != RowStatus::done) continue;
        known = {entry->record.status, entry->record.retryable, known.attempt + 1};
    }
    return state;
}

}  // namespace cmsweep
