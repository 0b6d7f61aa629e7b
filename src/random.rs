//! Counter-based random numbers: the stream of a document is a function of (seed, purpose, document) alone, so it is the
//! same whichever rank draws it and whatever was drawn before.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): a
//! Weyl sequence through a bijective mixer. Each stream starts at a hash of its key; 2^64 positions make it most unlikely
//! that two streams of a run overlap, and an overlap would do no harm here.

/// An endless stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
    /// Second number of the last pair of normal deviates.
    spare: Option<f64>,
}

/// The increment of the Weyl sequence: 2^64 divided by the golden ratio, odd.
const INCREMENT: u64 = 0x9E37_79B9_7F4A_7C15;

/// The mixer of SplitMix64 (variant 13 of Stafford's finalisers).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream for this seed, purpose ("document length", "start block") and index (a document, a row).
    pub fn new(seed: u64, purpose: &str, index: u64) -> Self {
        let mut state = mix(seed.wrapping_add(INCREMENT));
        for &byte in purpose.as_bytes() {
            state = mix(state.wrapping_add(INCREMENT) ^ u64::from(byte));
        }
        Stream { state: mix(state.wrapping_add(INCREMENT) ^ mix(index)), spare: None }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        mix(self.state)
    }

    /// Uniform in [0, 1), on a grid of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform among 0 .. `bound`, which is at least 1 (Lemire's multiplication, without rejection: the bias is below
    /// `bound` / 2^64).
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Standard normal (Marsaglia's polar method).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(y * factor);
                return x * factor;
            }
        }
    }

    /// Gamma with this shape > 0 and scale 1 (Marsaglia and Tsang, "A simple method for generating gamma variables",
    /// ACM TOMS 26, 2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            // Boost: Gamma(a) = Gamma(a + 1) * U^(1/a), with U in (0, 1].
            let boost = (1.0 - self.uniform()).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.uniform()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixer_is_splitmix64() {
        // First outputs for seed 1234567, as published with the reference implementation by S. Vigna.
        let mut stream = Stream { state: 1234567, spare: None };
        let expected = [6457827717110365317, 3203168211198807973, 9817491932198370423];
        assert_eq!(expected.map(|_| stream.bits()), expected);
    }

    #[test]
    fn streams_differ_by_each_part_of_their_key() {
        let keys = [(1, "a", 1), (2, "a", 1), (1, "b", 1), (1, "a", 2), (1, "aa", 1), (1, "", 1)];
        let mut first: Vec<_> = keys.map(|(seed, purpose, index)| Stream::new(seed, purpose, index).bits()).into();
        assert_eq!(first[0], Stream::new(1, "a", 1).bits());
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), keys.len());
    }

    /// Mean and variance of n draws; the tolerances below are five standard errors.
    fn moments(n: usize, mut draw: impl FnMut(u64) -> f64) -> (f64, f64) {
        let values: Vec<f64> = (0..n as u64).map(&mut draw).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64)
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let n = 200_000;
        let root = (n as f64).sqrt();
        // The first number of many streams, and many numbers of one stream.
        let (mean, variance) = moments(n, |i| Stream::new(5, "test", i).uniform());
        assert!((mean - 0.5).abs() < 5.0 * 0.289 / root && (variance - 1.0 / 12.0).abs() < 5.0 * 0.075 / root);
        let mut stream = Stream::new(5, "test", 0);
        let (mean, variance) = moments(n, |_| stream.normal());
        assert!(mean.abs() < 5.0 / root && (variance - 1.0).abs() < 5.0 * 1.42 / root, "{mean} {variance}");
        for shape in [0.05, 0.7, 1.0, 4.5] {
            let (mean, variance) = moments(n, |_| stream.gamma(shape));
            assert!((mean - shape).abs() < 5.0 * shape.sqrt() / root, "{shape}: {mean}");
            // Variance of a sample variance: (kurtosis - 1) sigma^4, with kurtosis 3 + 6 / shape.
            let spread = (2.0 + 6.0 / shape).sqrt() * shape;
            assert!((variance - shape).abs() < 5.0 * spread / root, "{shape}: {variance}");
        }
        let (mean, _) = moments(n, |_| stream.below(10) as f64);
        assert!((mean - 4.5).abs() < 5.0 * 2.88 / root);
    }
}
