//! Sums that have the same bits in any order.
//!
//! Floating-point addition is not associative, so a sum over chunks would depend on who added what first. Each
//! chunk's partial is therefore rounded onto a grid of i64 before it is added; integer addition is exact. The grid is
//! a power of two chosen from an a-priori bound of the total, so that no sum can overflow: with |total| < 2^e the step
//! is 2^(e-62), and rounding a partial costs at most half a step. For comparison, an f32 of the size of the bound has
//! steps of 2^(e-24).

use crate::error::{Error, Result};

/// A grid of fixed-point numbers: value = integer x 2^-shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    shift: i32,
}

impl Grid {
    /// The finest grid on which no sum of absolute value up to `bound` overflows.
    pub fn for_bound(bound: f64) -> Result<Grid> {
        if !bound.is_finite() || bound > 1e30 {
            return Err(Error::failed("values too large for exact sums: scale the corpus (tfidf) first"));
        }
        // frexp: bound < 2^exponent.
        let exponent = if bound > 0.0 { bound.log2().floor() as i32 + 1 } else { 0 };
        // The f32 kernels multiply by 2^shift in f32: keep it and the scaled values within range.
        Ok(Grid { shift: (62 - exponent).clamp(-60, 120) })
    }

    /// 2^shift: multiply by it to get onto the grid.
    pub fn scale(self) -> f64 {
        (f64::from(self.shift)).exp2()
    }

    /// A value on the grid.
    pub fn fix(self, value: f64) -> i64 {
        (value * self.scale()).round_ties_even() as i64
    }

    /// A number of the grid as a float.
    pub fn float(self, fixed: i64) -> f64 {
        fixed as f64 * self.step()
    }

    /// 2^-shift: the distance of neighbours on the grid.
    pub fn step(self) -> f64 {
        (f64::from(-self.shift)).exp2()
    }
}

/// Exact sums for numbers whose size is not known beforehand, such as Gram matrices of nearly dependent columns:
/// 104 bits on a grid of 2^-64, |total| < 2^39, carried as two i64 so that integer collectives can add them.
pub mod wide {
    /// Bits of the lower half; sums of up to 2^22 terms cannot overflow it.
    const LOW: u32 = 40;
    /// Steps of the upper half: 2^-24.
    const HIGH: f64 = (1u64 << 24) as f64;
    /// Steps of the lower half within one of the upper.
    const FRACTION: f64 = (1u64 << LOW) as f64;

    /// Adds a value to a pair (high, low).
    pub fn add(pair: &mut [i64], value: f64) {
        // Powers of two and the difference to the floor are exact: the one rounding is that of the lower half.
        let scaled = value * HIGH;
        let floor = scaled.floor();
        pair[0] = pair[0].wrapping_add(floor as i64);
        pair[1] += ((scaled - floor) * FRACTION) as i64;
    }

    /// The value of a pair.
    pub fn value(pair: &[i64]) -> f64 {
        let fixed = (i128::from(pair[0]) << LOW) + i128::from(pair[1]);
        fixed as f64 / (HIGH * FRACTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bound_fits_and_twice_the_grid_would_not() {
        for bound in [1e-9, 0.3, 1.0, 1.5, 2.0, 72_590.0, 3.2e6, 1e12] {
            let grid = Grid::for_bound(bound).expect("bound in range");
            assert!(bound * grid.scale() < i64::MAX as f64, "{bound}");
            if grid.shift < 120 {
                assert!(bound * grid.scale() >= 2f64.powi(60), "{bound}");
            }
        }
        assert!(Grid::for_bound(f64::INFINITY).is_err() && Grid::for_bound(f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn wide_sums_are_exact_in_any_order(values in prop::collection::vec(-1e9..1e9f64, 1..60), by in 0usize..60) {
            let sum = |values: &[f64]| {
                let mut pair = [0i64; 2];
                values.iter().for_each(|&value| wide::add(&mut pair, value));
                pair
            };
            let mut rotated = values.clone();
            rotated.rotate_left(by % values.len());
            prop_assert_eq!(sum(&values), sum(&rotated));
            // Values below 2^30 lie on the grid to 2^-22 of their last place, so the sum is the exactly rounded one
            // up to the rounding of the plain sum it is compared with.
            let plain: f64 = values.iter().sum();
            let size: f64 = values.iter().map(|v| v.abs()).sum();
            prop_assert!((wide::value(&sum(&values)) - plain).abs() <= 60.0 * f64::EPSILON * size);
        }

        #[test]
        fn fixed_numbers_round_to_half_a_step(value in -1000.0..1000.0f64) {
            let grid = Grid::for_bound(1000.0).expect("bound in range");
            prop_assert!((grid.float(grid.fix(value)) - value).abs() <= 0.5 / grid.scale() + f64::EPSILON * value.abs());
        }
    }
}
