"""Levenberg-Marquardt for one star (fast twin of `xpfit.fit.descent`, step by step)."""

from .linalg import compiled, solve
from .objective import evaluate_star


@compiled
def propose_step(state, m, scale, ws):
    """Damped Newton step of descent `m`, in standardised parameters.

    Leaves the Hessian that it used in `ws.hessian`; False if there is no finite step.
    """
    n = len(scale)
    damping = state.damping[m]
    for a in range(n):
        ws.gradient[a] = state.gradient[m, a] * scale[a]
        for b in range(a + 1):
            ws.gauss_newton[a, b] = state.gauss_newton[m, a, b] * scale[a] * scale[b]
            ws.hessian[a, b] = state.hessian[m, a, b] * scale[a] * scale[b]
            ws.matrix[a, b] = ws.hessian[a, b]
        ws.matrix[a, a] += damping * ws.gauss_newton[a, a]
    if solve(ws.matrix, ws.factor, ws.gradient, ws.step):
        return True
    for a in range(n):
        for b in range(a + 1):
            ws.hessian[a, b] = ws.gauss_newton[a, b]
            ws.matrix[a, b] = ws.gauss_newton[a, b]
        ws.matrix[a, a] += damping * ws.gauss_newton[a, a]
    return solve(ws.matrix, ws.factor, ws.gradient, ws.step)


@compiled
def store(state, m, theta, loss, ws):
    """Move descent `m` to the point that was evaluated last."""
    n = len(theta)
    state.loss[m] = loss
    state.chi2[m], state.ln_prior[m] = ws.scalars[0], ws.scalars[1]
    for a in range(n):
        state.theta[m, a] = theta[a]
        state.gradient[m, a] = ws.gradient[a]
        for b in range(a + 1):
            state.information[m, a, b] = state.information[m, b, a] = ws.information[a, b]
            state.gauss_newton[m, a, b] = state.gauss_newton[m, b, a] = ws.gauss_newton[a, b]
            state.hessian[m, a, b] = state.hessian[m, b, a] = ws.hessian[a, b]


@compiled
def iterate_descent(model, stars, settings, state, m, n_iterations, ws):
    """Up to `n_iterations` steps of one descent."""
    s = state.star[m]
    n = len(settings.scale)
    for _ in range(n_iterations):
        if state.finished[m]:
            return
        if not propose_step(state, m, settings.scale, ws):
            state.finished[m] = True
            return
        state.n_iterations[m] += 1
        longest, slope = 0.0, 0.0
        for a in range(n):
            longest = max(longest, abs(ws.step[a]))
            slope += ws.gradient[a] * ws.step[a]
        loss = state.loss[m]
        small = -0.5 * slope < settings.atol + settings.rtol * abs(loss)
        converged = (
            small
            and longest <= settings.max_step
            and state.damping[m] <= settings.max_final_damping
        )
        shorten = min(1.0, settings.max_step / longest) if longest > 0.0 else 1.0
        predicted_reduction = -shorten * slope
        for a in range(n):
            for b in range(a + 1):
                double = 0.5 if a == b else 1.0
                curvature = double * shorten * shorten * ws.step[a] * ws.step[b] * ws.hessian[a, b]
                predicted_reduction -= curvature
        for a in range(n):
            ws.trial[a] = state.theta[m, a] + shorten * ws.step[a] * settings.scale[a]
        trial = evaluate_star(model, stars, s, ws.trial, ws)
        if trial <= loss:
            actual_reduction = loss - trial
            ratio = actual_reduction / predicted_reduction if predicted_reduction > 0.0 else 0.0
            if ratio > settings.ratio_good:
                decreased = state.damping[m] * settings.damping_decrease
                state.damping[m] = max(decreased, settings.min_damping)
            elif ratio < settings.ratio_poor:
                state.damping[m] *= settings.damping_increase
            store(state, m, ws.trial, trial, ws)
        else:
            state.damping[m] *= settings.damping_increase_rejected
        if converged or state.damping[m] > settings.max_damping:
            state.finished[m] = True
