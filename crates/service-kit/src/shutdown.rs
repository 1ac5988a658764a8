//! The wish that the process end: Ctrl-C and SIGTERM.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Listens for the signals that ask the process to end.
#[derive(Debug)]
pub struct Signals {
    token: CancellationToken,
    _listener: JoinSet<()>,
}

impl Signals {
    /// Starts listening. The first signal cancels the token. The second ends the process at once,
    /// for whoever will not wait.
    ///
    /// # Errors
    /// When the system does not let the process listen.
    pub fn listen() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let token = CancellationToken::new();
        let mut listener = JoinSet::new();
        let asked = token.clone();
        listener.spawn(async move {
            let name = either(&mut interrupt, &mut terminate).await;
            tracing::info!(signal = name, "stopping; a second signal stops at once");
            asked.cancel();
            either(&mut interrupt, &mut terminate).await;
            std::process::exit(130);
        });
        Ok(Self { token, _listener: listener })
    }

    /// Cancelled at the first signal.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "interrupt",
        _ = terminate.recv() => "terminate",
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Duration};

    use super::*;

    #[tokio::test]
    async fn a_signal_cancels_the_token() {
        let signals = Signals::listen().unwrap();
        let token = signals.token();
        assert!(!token.is_cancelled());
        let pid = std::process::id().to_string();
        assert!(Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().unwrap().success());
        tokio::time::timeout(Duration::from_secs(10), token.cancelled()).await.unwrap();
    }
}
