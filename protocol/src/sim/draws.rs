//! Randomness from a seed: the one generator of the simulated world, and the distributions drawn from it.
//!
//! Invariant: the same seed draws the same on every platform. So nothing here calls the platform's mathematics
//! library, whose last digit differs: logarithm and exponential are built from the four operations that IEEE 754
//! fixes.

/// G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014),
/// with the constants of its reference code. Good enough for drawing losses, small enough to check by
/// eye, and the same on every platform; nothing secret may ever come from it.
#[derive(Clone, Debug)]
pub(super) struct SplitMix64(u64);

impl SplitMix64 {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for one thing among many: different numbers share no draws.
    pub(super) fn of(seed: u64, number: u64) -> Self {
        Self(seed ^ Self(number).next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0, included, to 1, excluded: the 53 upper bits are what a double holds exactly.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability; 0 is never and 1 is always.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number from 0 to `most`, both included.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        let scaled = (u128::from(self.next()) * (u128::from(most) + 1)) >> 64;
        u64::try_from(scaled).unwrap_or(most)
    }

    /// One of so many places; `None` of none.
    pub(super) fn index(&mut self, count: usize) -> Option<usize> {
        let most = u64::try_from(count).ok()?.checked_sub(1)?;
        usize::try_from(self.up_to(most)).ok()
    }

    /// Thirty-two bytes, for keys and names.
    pub(super) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for eight in bytes.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }

    /// A time between two events that happen at random, `mean` apart.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * ln(1.0 - self.unit())
    }

    /// Log-normal around `median`; `spread` is the deviation of the logarithm.
    pub(super) fn log_normal(&mut self, median: f64, spread: f64) -> f64 {
        median * exp(spread * self.normal())
    }

    /// Near enough to normal, within six deviations: the sum of twelve draws (J. O. Irwin and P. Hall, 1927).
    fn normal(&mut self) -> f64 {
        (0..12).fold(-6.0, |sum, _| sum + self.unit())
    }
}

/// The natural logarithm of a positive, normal number: exponent and the series of artanh.
fn ln(value: f64) -> f64 {
    let bits = value.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    // s is at most 1/3: the twelfth term is below 2^-40.
    let (mut sum, mut power) = (0.0, s);
    for odd in 0..12_u32 {
        sum += power / f64::from(2 * odd + 1);
        power *= square;
    }
    2.0 * sum + f64::from(exponent) * core::f64::consts::LN_2
}

/// The exponential of a small number, by its limit: off by less than one in a thousand within ±3.
fn exp(value: f64) -> f64 {
    let mut result = 1.0 + value / 8192.0;
    for _ in 0..13 {
        result *= result;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the published reference code for seed 1234567.
    #[test]
    fn the_generator_is_the_published_one() {
        let mut draws = SplitMix64::new(1_234_567);
        let drawn: [u64; 3] = [draws.next(), draws.next(), draws.next()];
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn logarithm_and_exponential_are_close_to_the_platforms() {
        for value in [1e-16, 0.001, 0.3, 0.5, 0.99, 1.0, 1.5, 2.0, 10.0] {
            assert!((ln(value) - value.ln()).abs() < 1e-9, "ln {value}");
        }
        for value in [-3.0, -1.0, -0.1, 0.0, 0.5, 1.0, 3.0_f64] {
            assert!((exp(value) / value.exp() - 1.0).abs() < 1e-3, "exp {value}");
        }
    }

    #[test]
    fn what_is_drawn_has_its_mean_and_its_median() {
        let mut draws = SplitMix64::new(1);
        let mean = (0..100_000).map(|_| draws.exponential(3.0)).sum::<f64>() / 100_000.0;
        assert!((2.95..3.05).contains(&mean), "{mean}");
        let below = (0..100_000).filter(|_| draws.log_normal(8.0, 0.7) < 8.0).count();
        assert!(
            (49_000..51_000).contains(&below),
            "{below} of 100000 below the median"
        );
        let wide = (0..100_000).filter(|_| draws.log_normal(8.0, 0.7) > 16.1).count();
        assert!(
            (14_000..18_000).contains(&wide),
            "{wide} of 100000 above one deviation"
        );
    }

    #[test]
    fn an_index_is_within_and_there_is_none_of_none() {
        let mut draws = SplitMix64::new(2);
        assert_eq!(draws.index(0), None);
        let mut seen = [0_u32; 5];
        for _ in 0..1000 {
            seen[draws.index(5).expect("five places")] += 1;
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    }
}
