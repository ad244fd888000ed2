"""The figures: one module each, with NAME and draw(sweep, …) -> Figure, which raises sweep.Missing where the store lacks what it needs."""
from . import (barrier_against_degree, best_interpolation_against_degree, best_merge_against_degree, cost_quality, loss_against_alpha,
               loss_against_span, retention_against_degree, routing_weights, similarity_against_degree, similarity_and_merge_gap,
               similarity_maps, span_at_equal_cost, training_curves)

OF_A_SWEEP = (training_curves,)
OF_A_TARGET = (similarity_and_merge_gap,)
OF_A_PAIR = (similarity_against_degree, similarity_maps, retention_against_degree)
OF_A_PAIR_ON_A_TARGET = (loss_against_alpha, best_interpolation_against_degree, best_merge_against_degree, barrier_against_degree,
                         loss_against_span, span_at_equal_cost, routing_weights, cost_quality)
