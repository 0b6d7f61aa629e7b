//! Special functions in f64, for what is not in an inner loop.

/// Where the asymptotic series take over from the recurrences: their first omitted terms are below 1e-16 there.
const LARGE: f64 = 20.0;

/// psi(x), the derivative of ln Gamma(x), for x > 0: psi(x) = psi(x + 1) - 1 / x, then the asymptotic series.
pub fn digamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < LARGE {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let f = 1.0 / (x * x);
    let tail = f * (1.0 / 12.0 - f * (1.0 / 120.0 - f * (1.0 / 252.0 - f * (1.0 / 240.0 - f / 132.0))));
    sum + x.ln() - 0.5 / x - tail
}

/// psi'(x) for x > 0, in the same way.
pub fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < LARGE {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let f = 1.0 / (x * x);
    let tail = f / x * (1.0 / 6.0 - f * (1.0 / 30.0 - f * (1.0 / 42.0 - f * (1.0 / 30.0 - f * 5.0 / 66.0))));
    sum + 1.0 / x + 0.5 * f + tail
}

/// ln Gamma(x) for x > 0: Gamma(x) = Gamma(x + 1) / x, then Stirling's series.
pub fn ln_gamma(mut x: f64) -> f64 {
    // The product of 20 factors up to 20 does not overflow, nor does one with a tiny x underflow.
    let mut product = 1.0;
    while x < LARGE {
        product *= x;
        x += 1.0;
    }
    let f = 1.0 / (x * x);
    let tail = (1.0 / 12.0 - f * (1.0 / 360.0 - f * (1.0 / 1260.0 - f * (1.0 / 1680.0 - f / 1188.0)))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + tail - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    #[test]
    fn known_values_come_out() {
        let euler = 0.577_215_664_901_532_9;
        for (found, expected) in [
            (digamma(1.0), -euler),
            (digamma(0.5), -euler - 2.0 * 2f64.ln()),
            (digamma(11.0) - digamma(1.0), (1..=10).map(|n| 1.0 / f64::from(n)).sum()),
            (digamma(1e-6), -1e6 - euler + PI * PI / 6.0 * 1e-6),
            (trigamma(1.0), PI * PI / 6.0),
            (trigamma(0.5), PI * PI / 2.0),
            (trigamma(3.0), PI * PI / 6.0 - 1.25),
            (ln_gamma(1.0), 0.0),
            (ln_gamma(0.5), 0.5 * PI.ln()),
            (ln_gamma(11.0), 3_628_800f64.ln()),
            (ln_gamma(31.0), (1..=30).map(|n| f64::from(n).ln()).sum()),
            (ln_gamma(1e-6), -(1e-6f64.ln()) - euler * 1e-6),
        ] {
            assert!((found - expected).abs() < 1e-12 * expected.abs().max(1.0), "{found} is not {expected}");
        }
    }

    #[test]
    fn each_is_the_derivative_of_the_one_before() {
        for exponent in -8..40 {
            let x = 10f64.powf(f64::from(exponent) / 8.0);
            let h = 1e-4 * x;
            let slope = |f: fn(f64) -> f64| (f(x + h) - f(x - h)) / (2.0 * h);
            assert!((slope(ln_gamma) - digamma(x)).abs() < 1e-6 * digamma(x).abs().max(1.0), "psi({x})");
            assert!((slope(digamma) / trigamma(x) - 1.0).abs() < 1e-6, "psi'({x})");
        }
    }
}
