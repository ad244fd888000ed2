#include "src/store/journal.hpp"

#include <cstring>

#include "../store/store_case.hpp"
#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "fuzz.hpp"
#include "store_folder.hpp"

namespace cmsweep::fuzz {
namespace {

constexpr std::size_t kHeader = 16;  // magic, size, rank, checksum

std::vector<std::string> seeds() {
    std::vector<std::string> files;
    for (const std::size_t count : {1, 6}) {
        std::filesystem::remove_all(store_folder().side());
        Journal journal(store_folder().side() / "journal", 0);
        for (const auto& record : case_records()) {
            if (files.size() == 1 || count > 1) journal.append(record);
            if (count == 1) break;
        }
        if (count == 1) journal.append(case_records().front());
        files.push_back(read_text(store_folder().side() / "journal" / "rank-000000.journal"));
    }
    return files;
}

/// The bytes of one record, with its size and checksum made true again.
void mutate(std::string& file, Draw& draw) {
    std::vector<std::size_t> starts;
    for (std::size_t at = 0; at + kHeader <= file.size();) {
        std::uint32_t size = 0;
        std::memcpy(&size, file.data() + at + 4, 4);
        if (size > file.size() - at - kHeader) break;
        starts.push_back(at);
        at += kHeader + size;
    }
    if (starts.empty()) return;
    const auto at = draw.pick(starts);
    std::uint32_t size = 0;
    std::memcpy(&size, file.data() + at + 4, 4);
    std::string record = file.substr(at + kHeader, size);
    if (draw.once_in(2)) {
        // One field: lengths, extents and numbers all lie in words.
        const std::size_t width = draw.once_in(2) ? 4 : 8;
        if (record.size() >= width) {
            const auto value = extreme_number(draw, record.size());
            std::memcpy(record.data() + draw.below(record.size() - width + 1), &value, width);
        }
    } else {
        mutate_bytes(record, draw, {record}, {"loss", "experiments", "similarity_member", "nothing"});
    }
    std::string header = file.substr(at, kHeader);
    const auto written = static_cast<std::uint32_t>(record.size());
    std::memcpy(header.data() + 4, &written, 4);
    const auto checksum = crc32(std::as_bytes(std::span(record)), crc32(std::as_bytes(std::span(header.data() + 4, 8))));
    std::memcpy(header.data() + 12, &checksum, 4);
    file.replace(at, kHeader + size, header + record);
}

void read(const std::string& file) {
    {
        const std::vector<char> bytes(file.begin(), file.end());  // on the heap, where a read beyond the end is seen
        std::string warning;
        for (const auto& entry : parse_journal(std::as_bytes(std::span(bytes)), "hostile", warning)) {
            if (serialise(parse_record(serialise(entry.record))) != serialise(entry.record)) throw std::logic_error("a record changes when it is written and read");
        }
    }
    // Into a store, every few inputs: it takes some ten milliseconds.
    if (hash_text(file).low % 8 != 0) return;
    const auto& folder = store_folder();
    std::filesystem::create_directories(folder.side() / "journal");
    write_file(folder.store(), valid_store());
    write_file(folder.side() / "journal" / "rank-000000.journal", file);
    read_stored_state(folder.store(), folder.side());
    prepare_store(folder.store(), folder.side(), case_plan(kShape), case_identity());
    const auto problems = verify_store(folder.store());
    if (!problems.empty()) throw std::logic_error("the journal made the store unsound: " + problems.front());
}

}  // namespace

std::vector<Format> journal_formats() {
    // The base is that of the store's code, which reads a whole table at once.
    return {{"journal", seeds, read, mutate, {"CMJ1", "CMR1"}, 64, std::size_t{16} << 20}};
}

}  // namespace cmsweep::fuzz
