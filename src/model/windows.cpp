#include <algorithm>
#include <stdexcept>

#include "cmsweep/base/random.hpp"
#include "cmsweep/model/corpus.hpp"

namespace cmsweep {

std::int64_t available_windows(std::uint64_t tokens, std::int64_t context) {
    if (context <= 0) throw std::invalid_argument("a window needs a positive context, not " + std::to_string(context));
    return tokens == 0 ? 0 : static_cast<std::int64_t>((tokens - 1) / static_cast<std::uint64_t>(context));
}

std::vector<std::uint64_t> evaluation_starts(const Id& split_digest, std::uint64_t tokens, std::int64_t context,
                                             std::int64_t count) {
    const std::int64_t available = available_windows(tokens, context);
    const bool all = count < 0 || count >= available;
    std::vector<std::int64_t> windows;
    if (!all) {
        windows = Stream(0, "evaluation windows", {split_digest.hex()}).sample(available, count);
    }
    std::vector<std::uint64_t> starts(static_cast<std::size_t>(all ? available : count));
    for (std::size_t i = 0; i < starts.size(); ++i) {
        starts[i] = (all ? i : static_cast<std::uint64_t>(windows[i])) * static_cast<std::uint64_t>(context);
    }
    return starts;
}

std::vector<std::int32_t> document_groups(const StoredSplit& split, std::span<const std::uint64_t> starts, int groups) {
    if (groups < 1) throw std::invalid_argument("expected at least one group, not " + std::to_string(groups));
    if (!std::is_sorted(starts.begin(), starts.end()))
        throw std::invalid_argument("window starts must be in increasing order");
    std::vector<std::int32_t> result(starts.size());
    std::int64_t last_part = -1;
    std::int32_t group = -1;
    for (std::size_t begin = 0, end = 0; begin < starts.size(); begin = end) {
        const std::uint64_t document = split.document_at(starts[begin]);
        while (end < starts.size() && split.document_at(starts[end]) == document) ++end;
        // The windows 0 … n-1 are divided into `groups` equal parts; a document goes where its middle lies. Parts that
        // get no document are skipped, so that group numbers have no holes.
        const auto part =
            static_cast<std::int64_t>((begin + end) * static_cast<std::uint64_t>(groups) / (2 * starts.size()));
        if (part != last_part) ++group;
        last_part = part;
        std::fill(result.begin() + static_cast<std::ptrdiff_t>(begin),
                  result.begin() + static_cast<std::ptrdiff_t>(end), group);
    }
    return result;
}

}  // namespace cmsweep
