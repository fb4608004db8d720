"""The forward model of one star and its derivatives (fast twin of `xpfit.model.ForwardModel`).

In arrays with a first axis of length 1 + n_label, the value comes first, then its derivatives with
respect to the labels.
"""

import numpy as np

from .linalg import compiled, exponentiate, sum_of_products, times, times_transpose


@compiled
def emulate(model, theta, ws):
    """Values and derivatives by the labels of every layer; the last layer holds ln flux."""
    n_label = len(model.label_mean)
    layers = ws.layers
    for i in range(n_label):
        layers[0, 0, i] = (theta[i] - model.label_mean[i]) / model.label_scale[i]
        for j in range(n_label):
            layers[0, 1 + j, i] = 1.0 / model.label_scale[i] if i == j else 0.0
    n_layer = len(model.widths) - 1
    start = 0
    for layer in range(n_layer):
        n_in, n_out = model.widths[layer], model.widths[layer + 1]
        weights = model.parameters[start : start + n_in * n_out].reshape((n_in, n_out))
        start += n_in * n_out
        bias = model.parameters[start : start + n_out]
        start += n_out
        for row in range(1 + n_label):
            times(layers[layer, row], weights, n_in, layers[layer + 1, row])
        y = layers[layer + 1, 0]
        for o in range(n_out):
            y[o] += bias[o]
        if layer < n_layer - 1:
            # tanh y = 1 - 2 / (exp 2y + 1)
            for o in range(n_out):
                y[o] *= 2.0
            exponentiate(y, n_out, ws.bits)
            for o in range(n_out):
                y[o] = 1.0 - 2.0 / (y[o] + 1.0)
            for row in range(1, 1 + n_label):
                slope = layers[layer + 1, row]
                for o in range(n_out):
                    slope[o] *= 1.0 - y[o] * y[o]


@compiled
def add_emulator_curvature(model, weights, ws, total):
    """Add the second derivatives of sum(weights * ln flux) with respect to the labels."""
    n_label = len(model.label_mean)
    n_layer = len(model.widths) - 1
    end = 0
    for layer in range(n_layer):
        end += (model.widths[layer] + 1) * model.widths[layer + 1]
    down, up = ws.adjoint[0], ws.adjoint[1]
    down[: len(weights)] = weights
    for layer in range(n_layer - 1, 0, -1):
        n_in, n_out = model.widths[layer], model.widths[layer + 1]
        end -= (n_in + 1) * n_out
        matrix = model.parameters[end : end + n_in * n_out].reshape((n_in, n_out))
        times_transpose(down, matrix, up)
        value, second = ws.layers[layer, 0], down
        for i in range(n_in):
            # The derivatives by the labels contain a factor 1 - tanh^2 already.
            slope = 1.0 - value[i] * value[i]
            second[i] = -2.0 * value[i] * up[i] / slope if slope > 0.0 else 0.0
            up[i] *= slope
        for a in range(n_label):
            for b in range(a + 1):
                total[a, b] += sum_of_products(
                    second, ws.layers[layer, 1 + a], ws.layers[layer, 1 + b], n_in
                )
        down, up = up, down


@compiled
def observe(model, spectrum, out):
    """Spectrum on the grid -> data vector (`ObservationSpace.observe`)."""
    n_bp, m_bp = model.bp_inverse.shape
    n_rp, m_rp = model.rp_inverse.shape
    if n_bp + n_rp > 0:
        times(spectrum, model.bp_inverse, n_bp, out)
        times(spectrum[n_bp:], model.rp_inverse, n_rp, out[m_bp:])
    for i in range(n_bp + n_rp, len(spectrum)):
        out[i - n_bp - n_rp + m_bp + m_rp] = spectrum[i]


@compiled
def observe_adjoint(model, values, out):
    """Transpose of `observe`."""
    n_bp, m_bp = model.bp_inverse.shape
    n_rp, m_rp = model.rp_inverse.shape
    if n_bp + n_rp > 0:
        times_transpose(values, model.bp_inverse, out)
        times_transpose(values[m_bp:], model.rp_inverse, out[n_bp:])
    for i in range(n_bp + n_rp, len(out)):
        out[i] = values[i - n_bp - n_rp + m_bp + m_rp]


@compiled
def respond(model, spectrum, scratch, out):
    """Apply the response of the instrument to a spectrum on the grid."""
    m_bp, n_bp = model.bp_basis.shape
    m_rp, n_rp = model.rp_basis.shape
    if n_bp + n_rp > 0:
        observe(model, spectrum, scratch)
        times(scratch, model.bp_basis, m_bp, out)
        times(scratch[m_bp:], model.rp_basis, m_rp, out[n_bp:])
    for i in range(n_bp + n_rp, len(spectrum)):
        out[i] = spectrum[i]


@compiled
def respond_adjoint(model, spectrum, scratch, out):
    """Transpose of `respond`."""
    m_bp, n_bp = model.bp_basis.shape
    m_rp, n_rp = model.rp_basis.shape
    if n_bp + n_rp > 0:
        times_transpose(spectrum, model.bp_basis, scratch)
        times_transpose(spectrum[n_bp:], model.rp_basis, scratch[m_bp:])
    for i in range(n_bp + n_rp, len(spectrum)):
        scratch[i - n_bp - n_rp + m_bp + m_rp] = spectrum[i]
    observe_adjoint(model, scratch, out)


@compiled
def predict(model, theta, ws):
    """Flux and Jacobian, with all intermediate results, in the workspace."""
    n_label = len(model.label_mean)
    n_grid = len(model.curve)
    varies = len(model.variation) > 0
    emulate(model, theta, ws)
    last = ws.layers[len(model.widths) - 1]
    extinction = np.exp(theta[n_label])
    for i in range(n_grid):
        ws.grid[i] = theta[n_label + 2] * model.variation[i] if varies else 0.0
    if varies:
        exponentiate(ws.grid, n_grid, ws.bits)
    for i in range(n_grid):
        slope = -extinction * model.curve[i] * (ws.grid[i] if varies else 1.0)
        ln_transmission = slope
        ws.d_ln_transmission[0, i] = slope
        ws.d2_ln_transmission[0, i] = slope
        if len(model.second_order) > 0:
            quadratic = extinction * extinction * model.second_order[i]
            ln_transmission += quadratic
            ws.d_ln_transmission[0, i] += 2.0 * quadratic
            ws.d2_ln_transmission[0, i] += 4.0 * quadratic
        if varies:
            ws.d_ln_transmission[1, i] = slope * model.variation[i]
            ws.d2_ln_transmission[1, i] = slope * model.variation[i]
        ws.intrinsic[i] = last[0, i] + 2.0 * theta[n_label + 1]
        ws.transmission[i] = ln_transmission
    exponentiate(ws.intrinsic, n_grid, ws.bits)
    exponentiate(ws.transmission, n_grid, ws.bits)
    for row in range(1 + n_label):
        for i in range(n_grid):
            ws.grid[i] = ws.intrinsic[i] * (1.0 if row == 0 else last[row, i])
        respond(model, ws.grid, ws.obs, ws.observed[row])
    for i in range(n_grid):
        ws.attenuated[i] = ws.observed[0, i] * ws.transmission[i]
    observe(model, ws.attenuated, ws.predicted[0])
    for row in range(n_label):
        for i in range(n_grid):
            ws.grid[i] = ws.observed[1 + row, i] * ws.transmission[i]
        observe(model, ws.grid, ws.predicted[1 + row])
    for k in range(1 + varies):
        for i in range(n_grid):
            ws.grid[i] = ws.d_ln_transmission[k, i] * ws.attenuated[i]
        observe(model, ws.grid, ws.predicted[1 + n_label + 2 * k])
    for i in range(ws.predicted.shape[1]):
        ws.predicted[2 + n_label, i] = 2.0 * ws.predicted[0, i]


@compiled
def add_curvature(model, n_label, varies, ws):
    """Add the second derivatives of the prediction (`ForwardModel.curvature`) to the Hessian.

    Overwrites the observed spectra in the workspace.
    """
    n_grid = len(model.curve)
    last = ws.layers[len(model.widths) - 1]
    total = ws.hessian
    on_grid = ws.whitened[0]
    if len(on_grid) != n_grid:
        on_grid = np.empty(n_grid)
    observe_adjoint(model, ws.obs, on_grid)
    e, u, x = n_label, n_label + 1, n_label + 2
    for i in range(n_grid):
        ws.grid[i] = on_grid[i] * ws.transmission[i]
    for a in range(n_label):
        by_extinction, by_xi, by_amplitude = 0.0, 0.0, 0.0
        for i in range(n_grid):
            change = ws.grid[i] * ws.observed[1 + a, i]
            by_amplitude += change
            by_extinction += change * ws.d_ln_transmission[0, i]
            by_xi += change * ws.d_ln_transmission[1, i]
        total[e, a] += by_extinction
        total[u, a] += 2.0 * by_amplitude
        if varies:
            total[x, a] += by_xi
    ee, eu, uu, xe, xu, xx = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n_grid):
        weight = on_grid[i] * ws.attenuated[i]
        extinction, xi = ws.d_ln_transmission[0, i], ws.d_ln_transmission[1, i]
        uu += weight
        eu += weight * extinction
        ee += weight * (extinction * extinction + ws.d2_ln_transmission[0, i])
        if varies:
            xu += weight * xi
            xe += weight * (extinction * xi + ws.d2_ln_transmission[1, i])
            xx += weight * (xi * xi + ws.d2_ln_transmission[1, i] * model.variation[i])
    total[e, e] += ee
    total[u, e] += 2.0 * eu
    total[u, u] += 4.0 * uu
    if varies:
        total[x, e] += xe
        total[x, u] += 2.0 * xu
        total[x, x] += xx
    weights = ws.observed[0]
    respond_adjoint(model, ws.grid, ws.obs, weights)
    for i in range(n_grid):
        weights[i] *= ws.intrinsic[i]
    for a in range(n_label):
        for b in range(a + 1):
            total[a, b] += sum_of_products(weights, last[1 + a], last[1 + b], n_grid)
    add_emulator_curvature(model, weights, ws, total)
