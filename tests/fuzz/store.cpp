#include "cmsweep/store/store.hpp"

#include <hdf5.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "fuzz.hpp"
#include "src/store/hdf5.hpp"
#include "src/store/journal.hpp"
#include "store_folder.hpp"

namespace cmsweep::fuzz {

const TemporaryFolder& store_folder() {
    static const TemporaryFolder folder = own_folder("fuzz");
    return folder;
}

std::vector<Record> case_records() {
    std::vector<Record> records;
    const auto ids = case_plan(kShape).table("experiments").ids;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) records.push_back(case_record(ids[i], static_cast<double>(i) + 0.25));
    Record failed;
    failed.table = "experiments";
    failed.id = ids.back();
    failed.status = RowStatus::failed;
    failed.message = "loss is not finite: ∞";
    records.push_back(failed);
    Record similarity;
    similarity.table = "similarity";
    similarity.id = case_plan(kShape).table("similarity").ids.front();
    similarity.set("value", {2, 3}, {1, 2, 3, 4, 5, 6});
    records.push_back(similarity);
    return records;
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

const std::string& valid_store() {
    static const std::string bytes = [] {
        const auto& folder = store_folder();
        std::filesystem::remove_all(folder.side());
        std::filesystem::remove(folder.store());
        {
            Journal journal(folder.side() / "journal", 3);
            for (const auto& record : case_records()) journal.append(record);
        }
        prepare_store(folder.store(), folder.side(), case_plan(kShape), case_identity());
        return read_text(folder.store());
    }();
    return bytes;
}

namespace {

/// Bytes of the valid store that HDF5 keeps for itself: all that belong to no dataset's values.
const std::vector<std::size_t>& own_bytes() {
    static const std::vector<std::size_t> places = [] {
        write_file(store_folder().store(), valid_store());
        std::vector<bool> values(valid_store().size(), false);
        const auto file = open_serial(store_folder().store(), false);
        const auto visit = [](hid_t object, const char* name, const H5O_info_t* info, void* out) -> herr_t {
            if (info->type != H5O_TYPE_DATASET) return 0;
            const auto dataset = open_dataset(object, name);
            const auto start = H5Dget_offset(dataset.get());
            if (start == HADDR_UNDEF) return 0;
            auto& marked = *static_cast<std::vector<bool>*>(out);
            std::fill_n(marked.begin() + static_cast<std::ptrdiff_t>(start), H5Dget_storage_size(dataset.get()), true);
            return 0;
        };
        check_hdf5(H5Ovisit(file.get(), H5_INDEX_NAME, H5_ITER_INC, visit, &values), "H5Ovisit");
        std::vector<std::size_t> own;
        for (std::size_t i = 0; i < values.size(); ++i) {
            // Unused ends of B-trees and heaps are zero for long stretches.
            const auto from = i < 16 ? 0 : i - 16;
            if (!values[i] && std::any_of(valid_store().begin() + static_cast<std::ptrdiff_t>(from), valid_store().begin() + static_cast<std::ptrdiff_t>(i) + 1, [](char c) { return c != 0; })) own.push_back(i);
        }
        return own;
    }();
    return places;
}

/// A few of HDF5's own bytes: flipped, or a word replaced by an extreme number or by another word (addresses above all).
void mutate(std::string& file, Draw& draw) {
    if (file.size() != valid_store().size()) return;
    const auto& places = own_bytes();
    for (std::size_t count = draw.length(4); count > 0; --count) {
        const auto at = draw.pick(places);
        const std::size_t width = std::min(std::size_t{1} << draw.below(4), file.size() - at);
        std::uint64_t value = extreme_number(draw, file.size());
        switch (draw.below(4)) {
            case 0: file[at] = static_cast<char>(file[at] ^ (1 << draw.below(8))); continue;
            case 1: file[at] = static_cast<char>(draw.bits()); continue;
            case 2: std::memcpy(&value, file.data() + std::min(draw.pick(places), file.size() - width), width); break;
            default: break;
        }
        std::memcpy(file.data() + at, &value, width);
    }
}

/// Whatever is committed must be what was written.
void check_values(const StoreReader& reader) {
    const auto ids = reader.texts("experiments", "id");
    const auto losses = reader.numbers("experiments", "loss").values;
    const auto state = read_stored_state(store_folder().store(), store_folder().side());
    for (const auto& record : case_records()) {
        const auto stored = state.results.find({record.table, record.id});
        if (record.table != "experiments" || stored == state.results.end() || stored->second.status != RowStatus::done) continue;
        if (record.status != RowStatus::done) throw std::logic_error("a failed result is done");
        for (std::size_t r = 0; r < ids.size() && r < losses.size(); ++r) {
            if (ids[r] == record.id.hex() && losses[r] != record.values.at("loss").numbers.front()) throw std::logic_error("a committed loss is another");
        }
    }
}

void read_all(const StoreReader& reader) {
    reader.name();
    reader.schema();
    const auto quietly = [](const auto& action) {
        try {
            action();
        } catch (const InputError&) {
        } catch (const StorageError&) {
        }
    };
    quietly([&] { reader.config_text(); });
    quietly([&] { reader.axes(); });
    std::vector<std::string> tables;
    quietly([&] { tables = reader.tables(); });
    tables.insert(tables.end(), {"runs", "axes/model", "axes/setting", "axes/pair"});
    for (const auto& table : tables) {
        std::vector<std::string> columns;
        quietly([&] { columns = reader.columns(table); });
        for (const auto& column : columns) {
            quietly([&] { reader.numbers(table, column); });
            quietly([&] { reader.texts(table, column); });
        }
    }
    quietly([&] { check_values(reader); });
}

void read(const std::string& file) {
    const auto& folder = store_folder();
    std::filesystem::remove_all(folder.side());
    write_file(folder.store(), file);
    const auto problems = verify_store(folder.store());
    read_all(StoreReader(folder.store()));
    // The same plan, then a larger one: the second copies every row. Of every few inputs: new files take their time.
    if (hash_text(file).low % 4 != 0) return;
    prepare_store(folder.store(), folder.side(), case_plan(kShape), case_identity());
    auto larger = kShape;
    larger.degrees = 3;
    prepare_store(folder.store(), folder.side(), case_plan(larger), case_identity());
    const auto after = verify_store(folder.store());
    if (!after.empty()) throw std::logic_error("prepare_store leaves an unsound store: " + after.front());
    check_values(StoreReader(folder.store()));
}

}  // namespace

std::vector<Format> store_formats() { return {{"store", [] { return std::vector<std::string>{valid_store()}; }, read, mutate, {}, 64, std::size_t{16} << 20}}; }

}  // namespace cmsweep::fuzz
