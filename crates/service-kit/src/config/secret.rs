//! Passwords, from the environment or from files.

use std::fmt;

use super::{Source, layers::Reader};

/// A password. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The password itself, for whoever asks for it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The value of that variable, or the content of the file that the variable with `_FILE` behind its
/// name names; a line's end at the end of the file does not belong to it.
pub(super) fn secret(reader: &mut Reader, variable: &str) -> Option<Secret> {
    let of_file = format!("{variable}_FILE");
    let (text, file) = (reader.variable(variable), reader.variable(&of_file));
    match (text, file) {
        (Some(_), Some(_)) => {
            let message = format!("must not be set beside {of_file}");
            reader.fault_of(variable, Source::Environment(variable.into()), &message);
            None
        }
        (text, None) => text.map(Secret),
        (None, Some(file)) => match std::fs::read_to_string(file) {
            Ok(text) => Some(Secret(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => {
                let message = format!("its file cannot be read: {error}");
                reader.fault_of(&of_file, Source::Environment(of_file.clone()), &message);
                None
            }
        },
    }
}
