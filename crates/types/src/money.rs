//! Amounts of money: a currency and a whole number of its smallest unit.

use std::fmt;

/// What is wrong with an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not an ISO 4217 code.
    #[error("must be three capital letters of ISO 4217")]
    Currency,
}

/// An ISO 4217 currency code: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code.
    ///
    /// # Errors
    /// [`MoneyError::Currency`] unless it is three capital letters.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_uppercase) => Ok(Self(bytes)),
            _ => Err(MoneyError::Currency),
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many decimal places the smallest unit stands for (ISO 4217).
    #[must_use]
    pub fn decimals(&self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount, in the currency's smallest unit (fen, cents, yen).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Money {
    /// The currency.
    pub currency: Currency,
    /// How many of its smallest unit.
    pub minor_units: i64,
}

/// For people: `CNY 128.40`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals();
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let units = self.minor_units.unsigned_abs();
        let per = 10_u64.pow(decimals);
        write!(f, "{} {sign}{}", self.currency, units / per)?;
        if decimals > 0 {
            write!(f, ".{:0width$}", units % per, width = decimals as usize)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(code: &str, minor_units: i64) -> String {
        Money { currency: Currency::parse(code).unwrap(), minor_units }.to_string()
    }

    #[test]
    fn an_amount_reads_as_people_write_it() {
        assert_eq!(money("CNY", 12_840), "CNY 128.40");
        assert_eq!(money("CNY", -5), "CNY -0.05");
        assert_eq!(money("JPY", 600), "JPY 600");
        assert_eq!(money("KWD", 1_005), "KWD 1.005");
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        for wrong in ["", "cny", "CN", "CNYX", "C1Y", "€€€"] {
            assert_eq!(Currency::parse(wrong), Err(MoneyError::Currency), "{wrong}");
        }
    }
}
