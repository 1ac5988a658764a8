//! The message folder: where mail and short messages go. It stands in for a mail server and an SMS
//! gateway; one RFC 5322 message per file, named by its verification.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use types::Timestamp;

use crate::{
    address::Address,
    domain::{Factor, VerificationId},
};

const FROM: &str = "Exeunt <verification@exeunt.invalid>";

/// The folder of messages.
#[derive(Debug, Clone)]
pub struct MessageFolder {
    directory: PathBuf,
}

impl MessageFolder {
    /// The folder, made when it is not there.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self { directory: directory.into() })
    }

    /// Puts a message there, whole or not at all. The same one again replaces itself.
    ///
    /// It does not wait for the disk: a message that a power failure takes is one that never
    /// arrived, and its addressee asks for another.
    ///
    /// # Errors
    /// What the system says.
    pub fn put(&self, id: &VerificationId, message: &str) -> io::Result<()> {
        let unfinished = self.unfinished(id);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&unfinished)?.write_all(message.as_bytes())?;
        fs::rename(&unfinished, self.path(id))
    }

    /// Removes what a crash may have left of a message that is not put any more.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_unfinished(&self, id: &VerificationId) -> io::Result<()> {
        remove(&self.unfinished(id))
    }

    /// Removes a message, if it is there.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, id: &VerificationId) -> io::Result<()> {
        self.remove_unfinished(id)?;
        remove(&self.path(id))
    }

    fn path(&self, id: &VerificationId) -> PathBuf {
        self.directory.join(format!("{id}.eml"))
    }

    fn unfinished(&self, id: &VerificationId) -> PathBuf {
        self.directory.join(format!(".{id}.eml.new"))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The message that carries a code. The same arguments give the same bytes.
#[must_use]
pub fn compose(
    id: &VerificationId,
    to: &Address,
    code: &str,
    made_at: Timestamp,
    expires_at: Timestamp,
) -> String {
    let channel = match to.factor() {
        Factor::EmailCode => "email",
        Factor::SmsCode => "sms",
    };
    let date = made_at.to_jiff().strftime("%a, %d %b %Y %H:%M:%S +0000");
    let expiry = expires_at.to_jiff().strftime("%H:%M UTC on %-d %B %Y");
    let lines = [
        &format!("From: {FROM}"),
        &format!("To: {}", to.expose()),
        "Subject: Your verification code",
        &format!("Date: {date}"),
        &format!("Message-ID: <{}@exeunt.invalid>", in_letters(id)),
        &format!("X-Channel: {channel}"),
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        &format!("Your code is {code}."),
        "",
        "It proves that you yourself want to end your account or services.",
        "Give it only where you asked for that, and tell it to nobody.",
        &format!("It expires at {expiry}."),
        "",
        "If you did not ask for it, do nothing: without the code nothing ends.",
        "",
    ];
    lines.join("\r\n")
}

/// The id without digits, so that the code is the only number that could be taken for one.
fn in_letters(id: &VerificationId) -> String {
    let letter = |char: char| char.to_digit(10).map_or(char, |digit| (b'g' + digit as u8) as char);
    id.as_str().chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> VerificationId {
        VerificationId::parse("ver_0190123456af").unwrap()
    }

    #[test]
    fn a_message_is_rfc_5322_and_has_the_code_once() {
        let made_at = Timestamp::parse("2026-11-21T08:00:00.5Z").unwrap();
        let expires_at = Timestamp::parse("2026-11-21T08:10:00.5Z").unwrap();
        let to = Address::email("user@example.com").unwrap();
        let message = compose(&id(), &to, "123456", made_at, expires_at);
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        let head: Vec<&str> = head.split("\r\n").collect();
        for line in [
            "To: user@example.com",
            "Date: Sat, 21 Nov 2026 08:00:00 +0000",
            "Message-ID: <ver_ghpghijklmaf@exeunt.invalid>",
            "X-Channel: email",
        ] {
            assert!(head.contains(&line), "{line}: {head:?}");
        }
        assert!(body.starts_with("Your code is 123456.\r\n"), "{body}");
        assert!(body.contains("It expires at 08:10 UTC on 21 November 2026.\r\n"), "{body}");
        let runs = message.split(|char: char| !char.is_ascii_digit()).filter(|run| run.len() >= 6);
        assert_eq!(runs.collect::<Vec<_>>(), ["123456"]);
        assert!(message.lines().all(|line| line.len() <= 78 && line.is_ascii()));
    }

    #[test]
    fn a_short_message_says_its_channel() {
        let to = Address::sms("+8613812345678").unwrap();
        let message = compose(&id(), &to, "000001", Timestamp::default(), Timestamp::default());
        assert!(message.contains("\r\nTo: +8613812345678\r\n") && message.contains("\r\nX-Channel: sms\r\n"));
    }

    #[test]
    fn a_message_is_put_and_removed_as_often_as_one_likes() {
        let home = tempfile::tempdir().unwrap();
        let folder = MessageFolder::open(&home.path().join("deep/messages")).unwrap();
        folder.put(&id(), "one").unwrap();
        folder.put(&id(), "two").unwrap();
        assert_eq!(fs::read_to_string(folder.path(&id())).unwrap(), "two");
        fs::write(folder.unfinished(&id()), "half").unwrap();
        folder.remove(&id()).unwrap();
        folder.remove(&id()).unwrap();
        assert_eq!(fs::read_dir(&folder.directory).unwrap().count(), 0);
    }
}
