"""The loss of one star and its derivatives (fast twin of `xpfit.fit.objective`, term by term)."""

import numpy as np

from ...model.luminosity import BELOW, NEWTON_STEPS
from .linalg import compiled, unwhiten, whiten
from .prediction import add_curvature, predict


@compiled
def flux_term(model, flux, whitener, ends, theta, ws):
    """chi2 of the flux; its derivatives in the workspace."""
    n_label = len(model.label_mean)
    n_parameter = len(theta)
    varies = len(model.variation) > 0
    predict(model, theta, ws)
    for i in range(len(flux)):
        ws.predicted[0, i] -= flux[i]
    whiten(whitener, ends, ws.predicted, ws.whitened)
    residual = ws.whitened[0]
    chi2 = 0.0
    for i in range(len(flux)):
        chi2 += residual[i] * residual[i]
    for a in range(n_parameter):
        slope = ws.whitened[1 + a]
        total = 0.0
        for i in range(len(flux)):
            total += slope[i] * residual[i]
        ws.gradient[a] = 2.0 * total
        for b in range(a + 1):
            other = ws.whitened[1 + b]
            total = 0.0
            for i in range(len(flux)):
                total += slope[i] * other[i]
            ws.information[a, b] = total
            ws.hessian[a, b] = 2.0 * total
    unwhiten(whitener, ends, residual, ws.obs)
    for i in range(len(flux)):
        ws.obs[i] *= 2.0
    add_curvature(model, n_label, varies, ws)
    return chi2


@compiled
def prior_term(model, theta, ws):
    """ln p_gmm; adds the derivatives of -2 ln p_gmm to those in the workspace."""
    n_label = len(model.label_mean)
    n_component = len(model.ln_norm)
    peak = -np.inf
    for c in range(n_component):
        distance = 0.0
        for a in range(n_label):
            slope = 0.0
            for b in range(n_label):
                slope -= model.precisions[c, a, b] * (theta[b] - model.means[c, b])
            ws.prior[c, 1 + a] = slope
            distance += slope * (theta[a] - model.means[c, a])
        ws.prior[c, 0] = model.ln_norm[c] + 0.5 * distance
        peak = max(peak, ws.prior[c, 0])
    total = 0.0
    for c in range(n_component):
        ws.prior[c, 0] = np.exp(ws.prior[c, 0] - peak)
        total += ws.prior[c, 0]
    for c in range(n_component):
        ws.prior[c, 0] /= total
    for a in range(n_label):
        slope = 0.0
        for c in range(n_component):
            slope += ws.prior[c, 0] * ws.prior[c, 1 + a]
        ws.step[a] = slope
        ws.gradient[a] -= 2.0 * slope
    for a in range(n_label):
        for b in range(a + 1):
            precision, product = 0.0, 0.0
            for c in range(n_component):
                weight = ws.prior[c, 0]
                precision += weight * model.precisions[c, a, b]
                product += weight * ws.prior[c, 1 + a] * ws.prior[c, 1 + b]
            ws.gauss_newton[a, b] += 2.0 * precision
            ws.hessian[a, b] += 2.0 * (precision - product + ws.step[a] * ws.step[b])
    return peak + np.log(total)


@compiled
def parallax_term(model, stars, s, theta, ws):
    """Terms in the parallax; adds their derivatives to those in the workspace."""
    u = len(model.label_mean) + 1
    prior = 1.0 if model.flat_parallax else 0.0
    error, observed = stars.parallax_err[s], stars.parallax[s]
    ln_error = 0.5 * stars.luminosity_err[s]
    known = np.isfinite(error)
    if ln_error > 0.0:
        ratio = (ln_error / error) * (ln_error / error) if known else 0.0
        t = solve_parallax(theta[u], observed, ratio, ln_error, prior, known)
        value, half_delta = np.exp(t), theta[u] - t
        per_second = 2.0 / (ln_error * ln_error)
        loss = (half_delta / ln_error) ** 2 - 2.0 * prior * t
        ws.gradient[u] += per_second * half_delta
        gauss_newton, curvature = 1.0, 1.0
        if known:
            loss += ((value - observed) / error) ** 2
            gauss_newton += ratio * value * value
            curvature += ratio * value * (2.0 * value - observed)
        ws.gauss_newton[u, u] += per_second * (1.0 - 1.0 / gauss_newton)
        ws.hessian[u, u] += per_second * (1.0 - 1.0 / curvature)
        return loss
    loss = -2.0 * prior * theta[u]
    ws.gradient[u] -= 2.0 * prior
    if known:
        value = np.exp(theta[u])
        pull, slope = (value - observed) / error, value / error
        loss += pull * pull
        ws.gradient[u] += 2.0 * pull * slope
        ws.gauss_newton[u, u] += 2.0 * slope * slope
        ws.hessian[u, u] += 2.0 * slope * slope + 2.0 * pull * slope
    return loss


@compiled
def solve_parallax(ln_amplitude, observed, ratio, ln_error, prior, known):
    """ln varpi at a given amplitude (`xpfit.model.luminosity.parallax_given_amplitude`)."""
    centre = ln_amplitude + prior * ln_error * ln_error
    if not known:
        return centre
    if observed > 0.0:
        low, high = min(centre, np.log(observed)), max(centre, np.log(observed))
    else:
        low, high = centre - BELOW, centre
    value = 0.5 * (low + high)
    for _ in range(NEWTON_STEPS):
        parallax = np.exp(value)
        slope = ratio * (parallax - observed) * parallax + value - centre
        curvature = ratio * (2.0 * parallax - observed) * parallax + 1.0
        if slope < 0.0:
            low = value
        elif slope > 0.0:
            high = value
        else:
            break
        step = value - slope / curvature if curvature > 0.0 else low - 1.0
        value = step if low <= step <= high else 0.5 * (low + high)
    return value


@compiled
def evaluate_star(model, stars, s, theta, ws):
    """Loss of star `s` at `theta` and, in the workspace, its derivatives."""
    n_label = len(model.label_mean)
    n_parameter = len(theta)
    chi2 = flux_term(model, stars.flux[s], stars.whitener[s], stars.ends[s], theta, ws)
    for a in range(n_parameter):
        for b in range(a + 1):
            ws.gauss_newton[a, b] = 2.0 * ws.information[a, b]
    ln_prior = prior_term(model, theta, ws)
    loss = chi2 - 2.0 * ln_prior - 2.0 * theta[n_label]
    ws.gradient[n_label] -= 2.0
    if model.absolute:
        loss += parallax_term(model, stars, s, theta, ws)
    if len(model.variation) > 0:
        x = n_label + 2
        loss += theta[x] * theta[x]
        ws.gradient[x] += 2.0 * theta[x]
        ws.gauss_newton[x, x] += 2.0
        ws.hessian[x, x] += 2.0
    ws.scalars[0], ws.scalars[1] = chi2, ln_prior
    return np.inf if np.isnan(loss) else loss
