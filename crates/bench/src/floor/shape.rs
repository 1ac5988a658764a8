//! How many bytes the rows and messages of one fan-out have.

use serde::{Deserialize, Serialize};

use crate::unit::UNITS;

/// What a row of the floor has beside its payload: stream, version and kind.
const ROW_REST: usize = 16 + 4 + KIND.len();
/// What a message has beside its payload: the key.
const MESSAGE_REST: usize = 16;
/// The kind of every row: as long as short names are.
pub const KIND: &str = "acknowledged";
/// No row is larger: larger ones would not stay in one page.
const BYTES_MAX: usize = 7_000;

/// Bytes of each row and message, everything that stands in it included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The coordinator's rows for a request.
    pub requested: Vec<usize>,
    /// One instruction to one participant.
    pub instruction: usize,
    /// A participant's rows for an instruction.
    pub worked: Vec<usize>,
    /// One acknowledgement.
    pub acknowledgement: usize,
    /// The coordinator's row for an acknowledgement.
    pub acknowledged: usize,
    /// The coordinator's rows when it completes.
    pub completed: Vec<usize>,
    /// What everybody is told of the request.
    pub requested_facts: Vec<usize>,
    /// What everybody is told of the completion.
    pub completed_facts: Vec<usize>,
}

impl Shape {
    /// One row and one message a step, all payloads of that size.
    pub fn uniform(payload: usize) -> Self {
        let (row, message) = (payload + ROW_REST, payload + MESSAGE_REST);
        Self {
            requested: vec![row],
            instruction: message,
            worked: vec![row],
            acknowledgement: message,
            acknowledged: row,
            completed: vec![row],
            requested_facts: vec![],
            completed_facts: vec![message],
        }
    }

    /// Rows of one fan-out.
    pub fn rows(&self) -> usize {
        self.requested.len() + UNITS * (self.worked.len() + 1) + self.completed.len()
    }

    /// Messages of one fan-out.
    pub fn messages(&self) -> usize {
        2 * UNITS + self.requested_facts.len() + self.completed_facts.len()
    }

    /// Bytes of all rows, and of all messages.
    pub fn bytes(&self) -> (usize, usize) {
        let sum = |sizes: &[usize]| sizes.iter().sum::<usize>();
        let participants = UNITS * (sum(&self.worked) + self.acknowledged);
        let facts = sum(&self.requested_facts) + sum(&self.completed_facts);
        (
            sum(&self.requested) + participants + sum(&self.completed),
            UNITS * (self.instruction + self.acknowledgement) + facts,
        )
    }
}

/// Incompressible bytes that payloads are cut from.
pub struct Pool(Vec<u8>);

impl Pool {
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(256 * 1024);
        while bytes.len() < 256 * 1024 {
            bytes.extend_from_slice(types::fresh_uuid().as_bytes());
        }
        // UUIDs of one moment begin alike: spread, no two payloads do.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for byte in &mut bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte ^= (state >> 24) as u8;
        }
        Self(bytes)
    }

    /// The payload of a row of so many bytes in all; `number` chooses which.
    pub fn row(&self, bytes: usize, number: u64) -> &[u8] {
        self.cut(bytes.saturating_sub(ROW_REST), number)
    }

    /// The payload of a message of so many bytes in all.
    pub fn message(&self, bytes: usize, number: u64) -> &[u8] {
        self.cut(bytes.saturating_sub(MESSAGE_REST), number)
    }

    fn cut(&self, bytes: usize, number: u64) -> &[u8] {
        let bytes = bytes.min(BYTES_MAX);
        let at = (number.wrapping_mul(7_919) as usize) % (self.0.len() - bytes);
        &self.0[at..at + bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_fan_out_of_six_has_fourteen_rows_and_thirteen_messages() {
        let shape = Shape::uniform(300);
        assert_eq!((shape.rows(), shape.messages()), (14, 13));
        assert_eq!(shape.bytes(), (14 * (300 + ROW_REST), 13 * (300 + MESSAGE_REST)));
        let pool = Pool::new();
        assert_eq!(pool.row(shape.acknowledged, 1).len(), 300);
        assert_ne!(pool.message(shape.instruction, 1), pool.message(shape.instruction, 2));
    }
}
