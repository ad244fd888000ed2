#include "cmsweep/core/similarity/metric.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace cmsweep {
namespace {

constexpr Eigen::MatrixXd ComparisonResult::* kFigures[] = {&ComparisonResult::value, &ComparisonResult::null_mean,
                                                            &ComparisonResult::null_p95, &ComparisonResult::low,
                                                            &ComparisonResult::high};

std::string where(const ComparisonResult::Note& note) {
    const std::string a = "A block " + std::to_string(note.row);
    const std::string b = "B block " + std::to_string(note.column);
    if (note.row < 0 && note.column < 0) return "";
    if (note.column < 0) return a;
    return note.row < 0 ? b : a + " with " + b;
}

}  // namespace

ComparisonResult::ComparisonResult(Eigen::Index rows, Eigen::Index columns) {
    for (const auto figure : kFigures) {
        (this->*figure).setConstant(rows, columns, std::numeric_limits<double>::quiet_NaN());
    }
}

void ComparisonResult::add_note(const std::string& text, Eigen::Index row, Eigen::Index column) {
    if (!text.empty()) notes.push_back({row, column, text});
}

std::string ComparisonResult::message() const {
    std::vector<std::pair<const Note*, int>> distinct;
    for (const auto& note : notes) {
        const auto known = std::find_if(distinct.begin(), distinct.end(), [&](const auto& one) { return one.first->text == note.text; });
        if (known == distinct.end()) distinct.emplace_back(&note, 0);
        else ++known->second;
    }
    std::string all;
    for (const auto& [note, others] : distinct) {
        if (!all.empty()) all += '\n';
        const std::string place = where(*note);
        all += place;
        if (!place.empty()) all += (others > 0 ? " and " + std::to_string(others) + " more: " : ": ");
        all += note->text;
    }
    return all;
}

ComparisonResult ComparisonResult::part(const std::vector<Eigen::Index>& rows, const std::vector<Eigen::Index>& columns) const {
    ComparisonResult result;
    for (const auto figure : kFigures) result.*figure = (this->*figure)(rows, columns);
    for (const auto& note : notes) {
        const auto row = std::find(rows.begin(), rows.end(), note.row);
        const auto column = std::find(columns.begin(), columns.end(), note.column);
        if ((note.row >= 0 && row == rows.end()) || (note.column >= 0 && column == columns.end())) continue;
        result.notes.push_back({note.row < 0 ? -1 : row - rows.begin(), note.column < 0 ? -1 : column - columns.begin(), note.text});
    }
    return result;
}

void ComparisonResult::place(const ComparisonResult& from, const std::vector<Eigen::Index>& rows,
                             const std::vector<Eigen::Index>& columns) {
    for (const auto figure : kFigures) (this->*figure)(rows, columns) = from.*figure;
    const auto at = [](const std::vector<Eigen::Index>& places, Eigen::Index i) {
        return i < 0 ? -1 : places[static_cast<std::size_t>(i)];
    };
    for (const auto& note : from.notes) {
        const Note moved{at(rows, note.row), at(columns, note.column), note.text};
        const auto same = [&](const Note& other) {
            return other.row == moved.row && other.column == moved.column && other.text == moved.text;
        };
        if (std::none_of(notes.begin(), notes.end(), same)) notes.push_back(moved);
    }
}

}  // namespace cmsweep
