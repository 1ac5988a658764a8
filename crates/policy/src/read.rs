//! Reads files and takes note of everything that is wrong in them.

use std::str::FromStr;

use serde::de::DeserializeOwned;

use crate::fault::Fault;

/// Reads one file.
pub(crate) struct Reader<'a> {
    file: &'a str,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &'a str, faults: &'a mut Vec<Fault>) -> Self {
        Self { file, faults }
    }

    /// Takes note of a fault at a place of the file.
    pub(crate) fn fault(&mut self, at: &str, message: &str) {
        self.faults.push(Fault { at: format!("{}: {at}", self.file), message: message.to_owned() });
    }

    /// The file's text as TOML of this shape.
    pub(crate) fn toml<T: DeserializeOwned>(&mut self, text: &str) -> Option<T> {
        match toml::from_str(text) {
            Ok(written) => Some(written),
            Err(error) => {
                let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
                self.fault(&format!("line {line}"), error.message());
                None
            }
        }
    }

    /// A value that stands as text.
    pub(crate) fn parsed<T: FromStr<Err: ToString>>(&mut self, at: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.fault(at, &format!("`{text}`: {}", error.to_string()))).ok()
    }
}
