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

    /// Others, which what is thrown here later changes nothing about.
    #[must_use]
    pub fn others(&mut self) -> Self {
        Self(self.number())
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.number() % (most - least + 1)
    }

    /// A place among so many.
    pub fn place(&mut self, count: usize) -> usize {
        // The remainder is smaller than `count`.
        (self.number() % count.max(1) as u64) as usize
    }

    /// True so many times out of a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.number() % 1_000 < per_mille
    }

    /// One of these, each as often as its weight says; `None` when all weigh nothing.
    pub fn pick<T: Copy>(&mut self, weighted: &[(T, u64)]) -> Option<T> {
        let all: u64 = weighted.iter().map(|(_, weight)| weight).sum();
        let mut left = self.number().checked_rem(all)?;
        for (it, weight) in weighted {
            match left.checked_sub(*weight) {
                Some(less) => left = less,
                None => return Some(*it),
            }
        }
        None
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
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

    #[test]
    fn what_weighs_nothing_is_never_picked() {
        let mut dice = Dice::new(1);
        assert!((0..100).all(|_| dice.pick(&[('a', 0), ('b', 2), ('c', 0)]) == Some('b')));
        assert_eq!(dice.pick(&[('a', 0)]), None);
    }
}
