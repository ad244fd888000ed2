#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace cmsweep {

/// A table for a terminal: columns as wide as their widest cell, numbers right-aligned.
class TextTable {
public:
    explicit TextTable(std::vector<std::string> header) : header_(std::move(header)) {}
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    bool empty() const { return rows_.empty(); }
    void print(std::ostream& out, const std::string& indent = "") const;

private:
    std::vector<std::string> header_;
    std::vector<std::vector<std::string>> rows_;
};

/// Fixed-point with `digits` after the point; "-" for NaN.
std::string fixed(double value, int digits);
/// 1234567 -> "1.23 M".
std::string short_count(double value);

}  // namespace cmsweep
