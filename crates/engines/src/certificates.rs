//! Certificates for listeners that demand encryption, made anew for each: an authority, a server's and a client's
//! certificate, and an authority that nobody here trusts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{output, require};

/// Long enough for a listener that lives as long as its processes.
const DAYS: &str = "365";

/// A folder of certificates and keys, as PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// Makes them in a folder that is there.
    pub fn make(dir: &Path) -> Result<Self> {
        require("openssl", "openssl")?;
        let made = Self { dir: dir.to_owned() };
        made.authority("ca")?;
        made.authority("another-ca")?;
        made.signed("server", "/CN=localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")?;
        made.signed("client", "/CN=exeunt", "extendedKeyUsage=clientAuth")?;
        // What Kafka takes as one file.
        let both = made.read("server.key")? + &made.read("server.pem")?;
        fs::write(made.path("server-with-key.pem"), both)?;
        Ok(made)
    }

    /// Those that were made in that folder.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// A file: `ca.pem`, `another-ca.pem`, and `.pem` and `.key` of `server` and `client`.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    pub(crate) fn read(&self, file: &str) -> Result<String> {
        let path = self.path(file);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    fn authority(&self, name: &str) -> Result<()> {
        let mut openssl = self.openssl(&["req", "-x509", "-nodes", "-days", DAYS]);
        openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        openssl.args(["-subj", &format!("/CN=exeunt {name}")]);
        openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
        output(&mut openssl).map(drop)
    }

    fn signed(&self, name: &str, subject: &str, extension: &str) -> Result<()> {
        let (key, request, extensions) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.extensions"));
        let mut openssl = self.openssl(&["req", "-new", "-nodes", "-newkey", "ec"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", subject]);
        output(openssl.args(["-keyout", &key, "-out", &request]))?;
        fs::write(self.path(&extensions), format!("basicConstraints=CA:FALSE\n{extension}\n"))?;
        let mut openssl = self.openssl(&["x509", "-req", "-days", DAYS, "-CA", "ca.pem", "-CAkey", "ca.key"]);
        openssl.args(["-CAcreateserial", "-in", &request, "-extfile", &extensions]);
        output(openssl.args(["-out", &format!("{name}.pem")])).map(drop)
    }

    fn openssl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(&self.dir);
        command
    }
}
