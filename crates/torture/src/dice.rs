//! Choices that one seed decides.

/// The same seed throws the same numbers. SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From no seed: nobody chose it.
    #[must_use]
    pub fn unseeded() -> Self {
        // The low half of a fresh id is random.
        Self(types::fresh_uuid().as_u64_pair().1)
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// A place among so many.
    pub fn place(&mut self, count: usize) -> usize {
        // The remainder is smaller than `count`.
        (self.next() % count as u64) as usize
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_throws_one_row_of_numbers() {
        let row = |seed| {
            let mut dice = Dice::new(seed);
            (0..20).map(|_| dice.between(3, 7)).collect::<Vec<_>>()
        };
        assert_eq!(row(1), row(1));
        assert_ne!(row(1), row(2));
        assert!(row(3).iter().all(|number| (3..=7).contains(number)));
    }
}
