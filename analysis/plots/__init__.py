"""The figures: one module each, with NAME and draw(sweep, …) -> Figure, which raises sweep.Missing where the store lacks what it needs."""
from . import (best_interpolation_against_degree, best_merge_against_degree, loss_against_alpha, loss_against_span, routing_weights,
               similarity_against_degree, similarity_maps, training_curves)

OF_A_SWEEP = (training_curves,)
OF_A_PAIR = (similarity_against_degree, similarity_maps)
OF_A_PAIR_ON_A_TARGET = (loss_against_alpha, best_interpolation_against_degree, loss_against_span, best_merge_against_degree, routing_weights)
