#include <Eigen/Core>
#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <string>

#include "assignment.hpp"
#include "average.hpp"
#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {
namespace {

using Matrix = Eigen::MatrixXd;
using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// source[u]: the unit of a member that takes the place u of the first one's.
using Order = std::vector<std::size_t>;

/// Where the tensors of one block are among those to be merged; GPT-2's Conv1D weights, [in, out].
struct Places {
    std::optional<std::size_t> qkv_weight, qkv_bias, out_weight;    ///< attention: [width, 3 width], [3 width], [width, width]
    std::optional<std::size_t> in_weight, in_bias, back_weight;     ///< MLP: [width, inner], [inner], [inner, width]
    bool has_attention() const { return qkv_weight && qkv_bias && out_weight; }
    bool has_mlp() const { return in_weight && in_bias && back_weight; }
};

/// By block prefix, "h.3.". Units of which some tensor is not to be merged cannot move: the rest of them would stay behind.
std::map<std::string, Places> find_places(const std::vector<MergeTensor>& tensors) {
    std::map<std::string, Places> found;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        const std::string& name = tensors[t].name;
        const auto note = [&](std::string_view rest, std::optional<std::size_t> Places::*place) {
            if (name.starts_with("h.") && name.ends_with(rest)) found[name.substr(0, name.size() - rest.size())].*place = t;
        };
        note("attn.c_attn.weight", &Places::qkv_weight);
        note("attn.c_attn.bias", &Places::qkv_bias);
        note("attn.c_proj.weight", &Places::out_weight);
        note("mlp.c_fc.weight", &Places::in_weight);
        note("mlp.c_fc.bias", &Places::in_bias);
        note("mlp.c_proj.weight", &Places::back_weight);
    }
    return found;
}

/// What moves, over all blocks and members.
struct Moved {
    std::size_t neurons = 0, heads = 0, dimensions = 0;
    std::size_t of_neurons = 0, of_heads = 0, of_dimensions = 0;
};

class Alignment {
public:
    Alignment(const ParameterMergeInput& input, std::size_t first, std::size_t member) : input_(input), first_(first), member_(member) {
        moves_.resize(input.tensors.size());
        for (const auto& [block, places] : find_places(input.tensors)) {
            input.safe_point();
            if (places.has_mlp()) align_mlp(places);
            input.safe_point();
            if (places.has_attention() && input.heads > 0) align_attention(places);
        }
    }

    /// The member's tensor with its units in their new places; `held` keeps it where it had to be copied.
    std::span<const float> tensor(std::size_t t, std::vector<float>& held) const {
        const auto values = input_.members[member_][t];
        const Move& move = moves_[t];
        if (move.source.empty()) return values;
        held.resize(values.size());
        const auto& shape = input_.tensors[t].shape;
        const auto columns = static_cast<std::size_t>(shape.back());
        for (std::size_t r = 0; r < values.size() / columns; ++r) {
            const float* const from = values.data() + (move.of_rows ? move.source[r] : r) * columns;
            float* const to = held.data() + r * columns;
            for (std::size_t c = 0; c < columns; ++c) to[c] = from[move.of_rows ? c : move.source[c]];
        }
        return held;
    }

    const Moved& moved() const { return moved_; }

private:
    struct Move {
        Order source;
        bool of_rows = false;  ///< else of columns; a bias is one row
    };

    Eigen::Map<const RowMatrix> map(std::size_t member, std::size_t t) const {
        const auto columns = static_cast<Eigen::Index>(input_.tensors[t].shape.back());
        const auto values = input_.members[member][t];
        return {values.data(), static_cast<Eigen::Index>(values.size()) / columns, columns};
    }
    bool by_activations() const { return !input_.statistics.empty(); }
    /// Gains that were learned from text: the matrix of this index among the tensor's statistics, [size, size] each; the first's
    /// units are its rows.
    Matrix products(std::size_t t, Eigen::Index size, Eigen::Index index) const {
        return Eigen::Map<const RowMatrix>(input_.statistics[member_][t].data() + index * size * size, size, size).cast<double>();
    }
    /// Inner products of `count` columns from `start`: of the first's (rows) with the member's (columns).
    void add_columns(Matrix& gain, std::size_t t, Eigen::Index start, Eigen::Index count) const {
        gain.noalias() += map(first_, t).middleCols(start, count).cast<double>().transpose() * map(member_, t).middleCols(start, count).cast<double>();
    }
    void add_rows(Matrix& gain, std::size_t t) const {
        gain.noalias() += map(first_, t).cast<double>() * map(member_, t).cast<double>().transpose();
    }

    void align_mlp(const Places& places) {
        const Eigen::Index inner = input_.tensors[*places.in_bias].shape[0];
        Matrix gain = Matrix::Zero(inner, inner);
        if (by_activations()) {
            gain = products(*places.back_weight, inner, 0);
        } else {
            add_columns(gain, *places.in_weight, 0, inner);
            add_columns(gain, *places.in_bias, 0, inner);
            add_rows(gain, *places.back_weight);
        }
        const Order order = best_assignment(gain, input_.safe_point);
        for (std::size_t u = 0; u < order.size(); ++u) moved_.neurons += order[u] != u;
        moved_.of_neurons += order.size();
        move(*places.in_weight, order, false);
        move(*places.in_bias, order, false);
        move(*places.back_weight, order, true);
    }

    void align_attention(const Places& places) {
        const Eigen::Index width = input_.tensors[*places.out_weight].shape[0], depth = width / input_.heads;
        Matrix query_key = Matrix::Zero(width, width), value_output = Matrix::Zero(width, width);
        if (by_activations()) {
            query_key = products(*places.qkv_weight, width, 0) + products(*places.qkv_weight, width, 1);
            value_output = products(*places.out_weight, width, 0);
        } else {
            for (const Eigen::Index section : {0, 1}) {
                add_columns(query_key, *places.qkv_weight, section * width, width);
                add_columns(query_key, *places.qkv_bias, section * width, width);
            }
            add_columns(value_output, *places.qkv_weight, 2 * width, width);
            add_columns(value_output, *places.qkv_bias, 2 * width, width);
            add_rows(value_output, *places.out_weight);
        }
        // Inside every pair of heads the best orders first; what they are worth together is the gain of that pair of heads,
        // so that the best pairing of heads makes the best of all orders.
        const auto heads = static_cast<std::size_t>(input_.heads);
        std::vector<std::vector<Order>> of_query_key(heads), of_value_output(heads);
        Matrix head_gain(input_.heads, input_.heads);
        for (Eigen::Index h = 0; h < input_.heads; ++h) {
            for (Eigen::Index g = 0; g < input_.heads; ++g) {
                const Matrix qk = query_key.block(h * depth, g * depth, depth, depth), vo = value_output.block(h * depth, g * depth, depth, depth);
                const auto& qk_order = of_query_key[static_cast<std::size_t>(h)].emplace_back(best_assignment(qk, input_.safe_point));
                const auto& vo_order = of_value_output[static_cast<std::size_t>(h)].emplace_back(best_assignment(vo, input_.safe_point));
                head_gain(h, g) = assignment_value(qk, qk_order) + assignment_value(vo, vo_order);
            }
        }
        const Order head_order = best_assignment(head_gain, input_.safe_point);
        const auto size = static_cast<std::size_t>(width), inside = static_cast<std::size_t>(depth);
        Order qkv(3 * size), rows(size);
        for (std::size_t h = 0; h < heads; ++h) {
            const std::size_t g = head_order[h];
            const Order &qk = of_query_key[h][g], &vo = of_value_output[h][g];
            moved_.heads += g != h;
            for (std::size_t d = 0; d < inside; ++d) {
                moved_.dimensions += (qk[d] != d) + (vo[d] != d);
                qkv[h * inside + d] = g * inside + qk[d];
                qkv[size + h * inside + d] = size + g * inside + qk[d];
                qkv[2 * size + h * inside + d] = 2 * size + g * inside + vo[d];
                rows[h * inside + d] = g * inside + vo[d];
            }
        }
        moved_.of_heads += heads;
        moved_.of_dimensions += 2 * size;
        move(*places.qkv_weight, qkv, false);
        move(*places.qkv_bias, qkv, false);
        move(*places.out_weight, rows, true);
    }

    void move(std::size_t t, const Order& order, bool of_rows) {
        Order own(order.size());
        std::iota(own.begin(), own.end(), std::size_t{0});
        if (order != own) moves_[t] = {order, of_rows};
    }

    const ParameterMergeInput& input_;
    std::size_t first_, member_;
    std::vector<Move> moves_;  ///< one a tensor
    Moved moved_;
};

void rebasin(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json& notes) {
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < input.weights.size(); ++i)
        if (input.weights[i] != 0) kept.push_back(i);
    std::vector<Alignment> alignments;
    Moved moved;
    for (std::size_t k = 1; k < kept.size(); ++k) {
        const auto& one = alignments.emplace_back(input, kept[0], kept[k]).moved();
        moved.neurons += one.neurons, moved.heads += one.heads, moved.dimensions += one.dimensions;
        moved.of_neurons += one.of_neurons, moved.of_heads += one.of_heads, moved.of_dimensions += one.of_dimensions;
    }
    notes["moved_neurons"] = moved.neurons;
    notes["moved_heads"] = moved.heads;
    notes["moved_dimensions"] = moved.dimensions;
    notes["neurons"] = moved.of_neurons;
    notes["heads"] = moved.of_heads;
    notes["dimensions"] = moved.of_dimensions;

    std::vector<double> weights;
    for (const auto i : kept) weights.push_back(input.weights[i]);
    for (std::size_t t = 0; t < input.tensors.size(); ++t) {
        input.safe_point();
        std::vector<std::vector<float>> held(alignments.size());
        std::vector<std::span<const float>> values{input.members[kept[0]][t]};
        for (std::size_t k = 0; k < alignments.size(); ++k) values.push_back(alignments[k].tensor(t, held[k]));
        weighted_mean(weights, values, out[t]);
    }
}

bool by_weights(const nlohmann::json& setting) { return setting.at("matching") == "weights"; }

}  // namespace

MethodInfo rebasin_method() {
    MethodInfo method;
    method.name = "rebasin";
    method.family = Family::parameter;
    method.parameters = {
        parameter::alpha(),
        parameter::weights(),
        parameter::choice("matching", {"weights", "activations"}, "weights",
                          "units are matched by their weights, or by their activations on the same text"),
        parameter::integer("windows", 1, 1 << 20, 64, "matching = \"activations\": windows of training text"),
        parameter::train_on("specialists"),
    };
    method.needs_text = true;
    method.draws = true;
    method.no_text = by_weights;
    method.text_parameters = {"train_on", "windows"};
    method.sees_unchanged = true;
    method.identities = {"equal_members", "parents"};
    method.summary =
        "The average after every member's MLP neurons, attention heads and dimensions in heads took the order of the first "
        "member's that they match best; the residual stream keeps its order.";
    method.source = "Ainsworth et al. 2023, Git Re-Basin (arXiv:2209.04836), sections 3.1 (activations) and 3.2 (weights)";
    method.merge = rebasin;
    return method;
}

}  // namespace cmsweep
