//! Just enough of PostgreSQL's protocol to administer a server that trusts us: one statement, text in and out.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Version 3.0 of the protocol.
const VERSION: i32 = 0x0003_0000;

/// What a statement gave: rows of columns as text, `None` for null.
pub type Rows = Vec<Vec<Option<String>>>;

/// A session of the superuser in the database `postgres`.
pub(super) struct Session(TcpStream);

impl Session {
    pub(super) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("PostgreSQL does not answer")?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_nodelay(true)?;
        let mut session = Self(stream);
        let mut hello = VERSION.to_be_bytes().to_vec();
        hello.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
        session.send(None, &hello)?;
        session.answer()?;
        Ok(session)
    }

    /// Runs statements with semicolons between them; gives the rows of all of them.
    pub(super) fn query(&mut self, statement: &str) -> Result<Rows> {
        let mut text = statement.as_bytes().to_vec();
        text.push(0);
        self.send(Some(b'Q'), &text)?;
        self.answer().with_context(|| format!("`{statement}` failed"))
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Result<()> {
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend_from_slice(&i32::try_from(body.len() + size_of::<i32>())?.to_be_bytes());
        message.extend_from_slice(body);
        self.0.write_all(&message).context("PostgreSQL does not listen")
    }

    /// Reads until the server is ready for the next statement.
    fn answer(&mut self) -> Result<Rows> {
        let mut rows = Rows::new();
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).context("PostgreSQL gave no whole answer")?;
            let [kind, length @ ..] = head;
            let length = usize::try_from(i32::from_be_bytes(length))?;
            let mut body = vec![0; length.checked_sub(size_of::<i32>()).context("a message without length")?];
            self.0.read_exact(&mut body)?;
            match kind {
                b'Z' => break,
                b'D' => rows.push(row(&body)?),
                // After a refusal the connection is not used again.
                b'E' => bail!("{}", words(&body)),
                b'R' if body != [0; 4] => bail!("PostgreSQL wants a password"),
                _ => {}
            }
        }
        Ok(rows)
    }
}

/// A number of columns, and each column's length and bytes; a length of -1 is null.
fn row(body: &[u8]) -> Result<Vec<Option<String>>> {
    let mut rest = body.get(2..).context("a row without columns")?;
    let mut columns = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        rest = after;
        columns.push(match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (text, after) = rest.split_at_checked(length).context("a column is cut off")?;
                rest = after;
                Some(String::from_utf8_lossy(text).into_owned())
            }
            Err(_) => None,
        });
    }
    Ok(columns)
}

/// The fields of an error, which end with zeroes.
fn words(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0).filter(|field| matches!(field.first(), Some(b'C' | b'M')));
    fields.map(|field| String::from_utf8_lossy(&field[1..]).into_owned()).collect::<Vec<_>>().join(": ")
}
