"""LSTM, GRU and RNN: whole sequences, single steps, and packed sequences."""

from typing import Final

from etaeff.symmetry._operators._call import Call, NoRuleError, degree_of, flat
from etaeff.symmetry._operators._degrees import FREE, Degree, plus
from etaeff.symmetry._operators._operator import Operator, rows


def _packed(call: Call) -> list[Degree]:
    return [call.degree("input"), FREE]  # the second are lengths, which torch traces as real


def _recurrent(call: Call) -> Degree:
    """Bounded gates, so each layer has degree zero; with ReLU that of its input.

    The state comes back in each step, so what multiplies it has degree zero.
    """
    given = call.degree("input" if "input" in call.arguments else "data")
    weights = [degree_of(value) for value in call.arguments["params"]]
    layers = call.arguments["num_layers"] * (2 if call.arguments["bidirectional"] else 1)
    size = 4 if call.arguments["has_biases"] else 2
    relu = call.name == "rnn_relu"
    if len(weights) != size * layers or (relu and call.arguments["num_layers"] > 1):
        raise NoRuleError  # projections; layers of different scales
    first = 2 if call.arguments["bidirectional"] else 1
    results = []
    for layer in range(layers):
        of_input, of_state, *biases = weights[size * layer : size * (layer + 1)]
        reads = plus(given if layer < first else FREE, of_input)
        call.vanish(of_state)
        results.append(call.join(reads, *biases) if relu else call.vanish(reads, *biases))
    states = flat([call.arguments.get("hx")])
    return call.join(*results, *(state.degree for state in states))


def _recurrent_cell(call: Call) -> Degree:
    """One step of them: the state may have a scale that its weight undoes."""
    states = flat([call.arguments["hx"]])
    read = plus(call.degree("input"), call.degree("w_ih"))
    back = plus(states[0].degree, call.degree("w_hh"))
    parts = [read, back, call.degree("b_ih"), call.degree("b_hh")]
    if call.name == "rnn_relu_cell":
        return call.join(*parts)
    kept = {"lstm_cell": states[1:], "gru_cell": states}.get(call.name, [])
    return call.vanish(*parts, *(state.degree for state in kept))


RECURRENT: Final = rows(
    ("lstm gru rnn_tanh rnn_relu", Operator(_recurrent)),
    ("lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell", Operator(_recurrent_cell)),
    ("_pack_padded_sequence", Operator(_packed)),
)
